import { memo } from "react";
import { Button } from "../ui/Button.tsx";
import { bytesText, details, preview, timeText } from "./model/export.ts";
import type { Frame } from "./model/frames.ts";

interface Props {
  readonly frame: Frame;
  readonly opened: boolean;
  /** Whether Tab comes to it: one of all the rows. */
  readonly reachable: boolean;
  readonly onFocus: (n: number) => void;
  readonly onToggle: (n: number) => void;
  readonly onCopy: (frame: Frame) => void;
}

const MARKS = { in: "↓", out: "↑", note: "•" } as const;
const WORDS = { in: "received", out: "sent", note: "connection" } as const;

/** A frame in a line, and whole when it is opened. A frame never changes, so neither does its row. */
export const LogRow = memo(function LogRow({ frame, opened, reachable, onFocus, onToggle, onCopy }: Props) {
  const { n, at, direction, opcode, size, type, tone } = frame;
  const time = timeText(at);
  return (
    <div className={`row row-${direction} ${tone ? `tone-${tone}` : ""}`}>
      <button type="button" className="row-line" data-n={n} tabIndex={reachable ? 0 : -1} aria-expanded={opened} onFocus={() => onFocus(n)} onClick={() => onToggle(n)}>
        <span className="row-time numbers">{time}</span>
        <span className="row-mark">
          <span aria-hidden="true">{MARKS[direction]}</span>
          <span className="unseen">{WORDS[direction]}</span>
        </span>
        <span className="row-type">{opcode === "note" ? "" : (type ?? opcode)}</span>
        <span className="row-size numbers">{opcode === "note" ? "" : bytesText(size)}</span>
        <span className="row-text">{preview(frame)}</span>
      </button>
      {opened && (
        <div className="row-more">
          <div className="row-about small muted">
            <span>
              {WORDS[direction]} {new Date(at).toISOString()}
              {opcode !== "note" && `, ${opcode}, ${size.toLocaleString("en")} bytes`}
            </span>
            <Button small icon="copy" onClick={() => onCopy(frame)}>
              Copy
            </Button>
          </div>
          <pre tabIndex={0} role="region" aria-label={`Frame of ${time}`}>
            {details(frame)}
          </pre>
        </div>
      )}
    </div>
  );
});
