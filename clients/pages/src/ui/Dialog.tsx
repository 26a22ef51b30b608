import "./Dialog.css";
import { useEffect, useId, useRef, type ReactNode } from "react";
import { Button, IconButton } from "./Button.tsx";
import { Complaint } from "./Complaint.tsx";

interface DialogProps {
  readonly open: boolean;
  readonly title: string;
  /** What the button says that does it; Enter does it, too. */
  readonly confirm: string;
  /** `danger`, unless said otherwise: most that is asked about takes something away. */
  readonly look?: "danger" | "primary";
  readonly disabled?: boolean;
  readonly cancel?: string;
  /** Why it was not done. */
  readonly error?: string | undefined;
  readonly onConfirm: () => void;
  /** It was closed, by a button, Escape or the cross; the owner sets `open`. */
  readonly onClose: () => void;
  /** What will happen, and what there is to choose. */
  readonly children: ReactNode;
}

/** The browser's own modal dialog: it keeps the focus inside, gives it back at the end, and closes at Escape. */
export function Dialog({ open, title, confirm, look = "danger", disabled = false, cancel = "Cancel", error, onConfirm, onClose, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();

  useEffect(() => {
    const element = dialog.current;
    if (!open || !element) return;
    element.showModal();
    return () => element.close();
  }, [open]);

  if (!open) return null;
  return (
    <dialog ref={dialog} className="dialog" aria-labelledby={heading} onCancel={onClose}>
      <div className="dialog-head">
        <h2 id={heading}>{title}</h2>
        <IconButton label="Close" icon="close" onClick={onClose} />
      </div>
      <form
        className="dialog-body"
        onSubmit={(event) => {
          event.preventDefault();
          onConfirm();
        }}
      >
        {children}
        <Complaint text={error} />
        <div className="dialog-actions">
          <Button onClick={onClose}>{cancel}</Button>
          <Button type="submit" look={look} disabled={disabled}>
            {confirm}
          </Button>
        </div>
      </form>
    </dialog>
  );
}
