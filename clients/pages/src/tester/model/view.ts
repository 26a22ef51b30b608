/** What of a log is shown: filtered, searched, and held still while it is paused. */
import { SHOWN_BYTES } from "./export.ts";
import type { Direction, Frame, FrameLog } from "./frames.ts";
import { hexOf } from "./hex.ts";

export interface Filter {
  readonly direction: "all" | Direction;
  /** `text`, `binary` and `note` are opcodes, `type:message` is the `type` of a JSON object. */
  readonly kind: "all" | "text" | "binary" | `type:${string}`;
  /** Part of the text, or of the hexadecimal digits of the bytes that are shown, in whatever case. */
  readonly search: string;
  readonly hidePings: boolean;
}

export const EVERYTHING: Filter = { direction: "all", kind: "all", search: "", hidePings: false };

export function matcher(filter: Filter): (frame: Frame) => boolean {
  const wanted = filter.search.trim().toLowerCase();
  // Somebody who looks for bytes may write them with spaces, as they are shown.
  const digits = /^[0-9a-f\s]+$/.test(wanted) ? wanted.replace(/\s/g, "") : "";
  return (frame) => {
    if (filter.direction !== "all" && frame.direction !== filter.direction) return false;
    if (filter.hidePings && frame.ping) return false;
    if (filter.kind.startsWith("type:") ? frame.type !== filter.kind.slice(5) : filter.kind !== "all" && frame.opcode !== filter.kind) return false;
    if (wanted === "") return true;
    if (frame.bytes) return digits !== "" && hexOf(frame.bytes.subarray(0, SHOWN_BYTES), "").includes(digits);
    return frame.text.toLowerCase().includes(wanted);
  };
}

/** Follows a log: only what is new is looked at, so a full log costs no more than an empty one. */
export class View {
  readonly #log: FrameLog;
  #filter = EVERYTHING;
  #matches = matcher(EVERYTHING);
  /** Replaced and never changed where somebody may hold it. */
  #shown: readonly Frame[] = [];
  /** The number of the last frame that was looked at. */
  #seen = 0;
  #paused = false;

  constructor(log: FrameLog) {
    this.#log = log;
  }

  get shown(): readonly Frame[] {
    return this.#shown;
  }

  get filter(): Filter {
    return this.#filter;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** How many came since the pause began, whether or not the filter lets them through. */
  get held(): number {
    return this.#paused ? this.#log.total - this.#seen : 0;
  }

  pause(on: boolean): void {
    this.#paused = on;
    this.update();
  }

  /** Looks at all that was seen anew; what is held stays held. */
  setFilter(filter: Filter): void {
    this.#filter = filter;
    this.#matches = matcher(filter);
    this.#shown = this.#log.frames.filter((frame) => frame.n <= this.#seen && this.#matches(frame));
  }

  /** After a `clear` of the log: nothing of it is shown any more, and nothing is held. */
  clear(): void {
    this.#seen = this.#log.total;
    this.#shown = [];
  }

  /** Takes up what is new, unless it is paused. */
  update(): void {
    if (this.#paused) return;
    const { frames, total } = this.#log;
    const oldest = frames[0]?.n ?? total + 1;
    const first = this.#shown[0]?.n;
    const fresh = frames.slice(Math.max(0, this.#seen + 1 - oldest)).filter(this.#matches);
    this.#seen = total;
    if (first !== undefined && first < oldest) this.#shown = this.#shown.filter((frame) => frame.n >= oldest);
    if (fresh.length > 0) this.#shown = this.#shown.concat(fresh);
  }
}
