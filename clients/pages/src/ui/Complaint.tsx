import "./Complaint.css";

interface ComplaintProps {
  /** Nothing is shown without one. */
  readonly text: string | undefined;
  /** For the field that it is about. */
  readonly id?: string;
  /** In a coloured field of its own. */
  readonly boxed?: boolean;
}

/** What is wrong; it is read out when it appears. */
export function Complaint({ text, id, boxed = false }: ComplaintProps) {
  if (!text) return null;
  return (
    <p id={id} className={boxed ? "complaint complaint-boxed" : "complaint"} role="alert">
      {text}
    </p>
  );
}

/** What was thrown, in words. */
export function said(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
