import "./Field.css";
import { useId, type ComponentProps, type ReactNode } from "react";
import { Complaint } from "./Complaint.tsx";

interface FieldProps {
  readonly label: ReactNode;
  /** For screen readers only, where the place says what it is for. */
  readonly labelUnseen?: boolean;
  readonly hint?: ReactNode;
  /** What is wrong with the value; it is read out when it appears. */
  readonly error?: string | undefined;
  /** Gives the control; what it is called with goes onto it. */
  readonly children: (control: { id: string; className: string; "aria-describedby": string | undefined; "aria-invalid": boolean | undefined }) => ReactNode;
}

/** A label, a control, and what there is to say about them. */
export function Field({ label, labelUnseen = false, hint, error, children }: FieldProps) {
  const id = useId();
  const described = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(" ");
  return (
    <div className="field">
      <label htmlFor={id} className={labelUnseen ? "unseen" : "field-label"}>
        {label}
      </label>
      {children({ id, className: "input", "aria-describedby": described || undefined, "aria-invalid": error ? true : undefined })}
      {hint && (
        <p id={`${id}-hint`} className="field-hint">
          {hint}
        </p>
      )}
      <Complaint text={error} id={`${id}-error`} />
    </div>
  );
}

type TextFieldProps = Omit<FieldProps, "children"> & Omit<ComponentProps<"input">, "children" | "className" | "id">;

/** A line of text. */
export function TextField({ label, labelUnseen, hint, error, ...input }: TextFieldProps) {
  const about = { label, hint, error, ...(labelUnseen === undefined ? {} : { labelUnseen }) };
  return <Field {...about}>{(control) => <input type="text" {...input} {...control} />}</Field>;
}

type SelectFieldProps = Omit<FieldProps, "children"> & Omit<ComponentProps<"select">, "className" | "id">;

/** One of a few; its `option`s are its children. */
export function SelectField({ label, labelUnseen, hint, error, ...select }: SelectFieldProps) {
  const about = { label, hint, error, ...(labelUnseen === undefined ? {} : { labelUnseen }) };
  return <Field {...about}>{(control) => <select {...select} {...control} />}</Field>;
}

type CheckFieldProps = Omit<ComponentProps<"input">, "type" | "className"> & { readonly label: ReactNode };

/** Yes or no. */
export function CheckField({ label, ...input }: CheckFieldProps) {
  return (
    <label className="check">
      <input type="checkbox" {...input} />
      <span>{label}</span>
    </label>
  );
}
