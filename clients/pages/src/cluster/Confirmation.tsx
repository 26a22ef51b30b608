import type { ReactNode } from "react";
import { Button } from "../ui/Button.tsx";
import { Dialog } from "../ui/Dialog.tsx";

interface ConfirmationProps {
  readonly open: boolean;
  readonly title: string;
  /** What the button says that does it. */
  readonly verb: string;
  readonly busy: boolean;
  readonly error: string | null;
  readonly onDo: () => void;
  readonly onClose: () => void;
  /** What will happen, and what there is to choose. */
  readonly children: ReactNode;
}

/** Asks before something is done that people notice. */
export function Confirmation({ open, title, verb, busy, error, onDo, onClose, children }: ConfirmationProps) {
  return (
    <Dialog
      open={open}
      title={title}
      onClose={onClose}
      onSubmit={onDo}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="danger" disabled={busy}>
            {busy ? "Asking …" : verb}
          </Button>
        </>
      }
    >
      {children}
      {error !== null && (
        <p className="cluster-error" role="alert">
          {error}
        </p>
      )}
    </Dialog>
  );
}
