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

/** The browser's own modal dialog: it keeps the focus inside and closes at Escape. What had the focus before has it again at the end. */
export function Dialog({ open, title, confirm, look = "danger", disabled = false, cancel = "Cancel", error, onConfirm, onClose, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const harmless = useRef<HTMLButtonElement>(null);
  const heading = useId();

  useEffect(() => {
    const element = dialog.current;
    if (!open || !element) return;
    const before = placesUpFrom(document.activeElement);
    element.showModal();
    // By itself it would begin at the cross. What has something to fill in begins there.
    (element.querySelector<HTMLElement>("input, select, textarea") ?? harmless.current)?.focus();
    return () => {
      element.close();
      before.some(takesFocus);
    };
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
          <Button ref={harmless} onClick={onClose}>
            {cancel}
          </Button>
          <Button type="submit" look={look} disabled={disabled}>
            {confirm}
          </Button>
        </div>
      </form>
    </dialog>
  );
}

/** What had the focus, and what it lies in that can have it: a button may be gone when the dialog closes, and its message still be there. */
function placesUpFrom(element: Element | null): readonly HTMLElement[] {
  const places: HTMLElement[] = [];
  for (let place = element; place; place = place.parentElement) {
    if (place instanceof HTMLElement && (place === element || place.hasAttribute("tabindex"))) places.push(place);
  }
  return places;
}

/** What is gone, disabled or hidden does not take it. */
function takesFocus(place: HTMLElement): boolean {
  place.focus({ preventScroll: true });
  return document.activeElement === place;
}
