import "./Badge.css";
import type { ReactNode } from "react";

/** How something stands. It is never said by the colour alone. */
export type Tone = "good" | "warn" | "bad" | "info" | "plain";

/** A word or a number in a coloured field. */
export function Badge({ tone = "plain", children }: { readonly tone?: Tone; readonly children: ReactNode }) {
  return <span className={`badge tone-${tone}`}>{children}</span>;
}

interface StatusDotProps {
  readonly tone: Tone;
  /** A ring instead of a disc, for what is not there. */
  readonly hollow?: boolean;
  /** The words that say the same. */
  readonly children?: ReactNode;
}

/** A dot in the colour of how something stands, before the words for it. */
export function StatusDot({ tone, hollow = false, children }: StatusDotProps) {
  return (
    <span className={`status tone-${tone}`}>
      <span className={hollow ? "status-dot hollow" : "status-dot"} aria-hidden="true" />
      {children !== undefined && <span>{children}</span>}
    </span>
  );
}
