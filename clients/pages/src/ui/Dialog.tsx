import "./Dialog.css";
import { useEffect, useId, useRef, type FormEvent, type ReactNode } from "react";
import { IconButton } from "./Button.tsx";

interface DialogProps {
  readonly open: boolean;
  readonly title: string;
  /** It was closed, by Escape or the cross; the owner sets `open`. */
  readonly onClose: () => void;
  /** Makes it a form: Enter, or a button of type `submit`. */
  readonly onSubmit?: () => void;
  readonly wide?: boolean;
  readonly children: ReactNode;
  /** Buttons, the one that does it last. */
  readonly actions?: ReactNode;
}

/** The browser's own modal dialog: it keeps the focus inside, gives it back at the end, and closes at Escape. */
export function Dialog({ open, title, onClose, onSubmit, wide = false, children, actions }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();

  useEffect(() => {
    const element = dialog.current;
    if (!open || !element) return;
    element.showModal();
    return () => element.close();
  }, [open]);

  if (!open) return null;
  const body = (
    <>
      {children}
      {actions && <div className="dialog-actions">{actions}</div>}
    </>
  );
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onSubmit?.();
  };
  return (
    <dialog ref={dialog} className={wide ? "dialog dialog-wide" : "dialog"} aria-labelledby={heading} onCancel={onClose}>
      <div className="dialog-head">
        <h2 id={heading}>{title}</h2>
        <IconButton label="Close" icon="close" onClick={onClose} />
      </div>
      {onSubmit ? (
        <form className="dialog-body" onSubmit={submit}>
          {body}
        </form>
      ) : (
        <div className="dialog-body">{body}</div>
      )}
    </dialog>
  );
}
