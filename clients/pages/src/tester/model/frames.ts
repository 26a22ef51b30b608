/** The log of a connection: what went out, what came in, and what happened to the connection. Bounded, oldest first. */

export type Direction = "in" | "out" | "note";

export interface Frame {
  /** Counts from 1 and never again, so it is a key. */
  readonly n: number;
  /** ms since 1970. */
  readonly at: number;
  readonly direction: Direction;
  /** A note has no opcode: it tells of opening, closing and failures. */
  readonly opcode: "text" | "binary" | "note";
  /** Bytes of the payload, as it was on the wire. */
  readonly size: number;
  /** Of a text or a note. A token that went out is not in it: logs are copied and shown to others. */
  readonly text: string;
  readonly bytes?: Uint8Array;
  /** The `type` of a JSON object that has one. */
  readonly type?: string;
  readonly tone?: "good" | "bad";
  /** One of this page's own pings, or its answer. */
  readonly ping?: true;
}

interface Bounds {
  readonly frames: number;
  /** Of payloads, in bytes. */
  readonly bytes: number;
}

/** More would be kept only to be scrolled past, and a tab that grows without end is killed by the browser. */
export const BOUNDS: Bounds = { frames: 50_000, bytes: 64 * 1024 * 1024 };

export class FrameLog {
  #frames: Frame[] = [];
  #bytes = 0;
  #total = 0;
  readonly #bounds: Bounds;

  constructor(bounds: Bounds = BOUNDS) {
    this.#bounds = bounds;
  }

  /** The kept ones; not to be held over an `add`. */
  get frames(): readonly Frame[] {
    return this.#frames;
  }

  /** How many there ever were. */
  get total(): number {
    return this.#total;
  }

  /** How many had to go for newer ones. */
  get dropped(): number {
    return this.#total - this.#frames.length;
  }

  add(frame: Omit<Frame, "n">): Frame {
    const numbered = { ...frame, n: ++this.#total };
    this.#frames.push(numbered);
    this.#bytes += frame.size;
    this.#trim();
    return numbered;
  }

  /** The numbers go on: what is added later is new to every view. */
  clear(): void {
    this.#frames = [];
    this.#bytes = 0;
  }

  /** A tenth goes at once: moving a long array for every frame would cost more than the frame did. */
  #trim(): void {
    const { frames, bytes } = this.#bounds;
    if (this.#frames.length <= frames && this.#bytes <= bytes) return;
    let go = 0;
    let left = this.#bytes;
    // The newest stays, however large it is.
    while (go < this.#frames.length - 1 && (this.#frames.length - go > frames * 0.9 || left > bytes * 0.9)) {
      left -= this.#frames[go]?.size ?? 0;
      go += 1;
    }
    this.#frames.splice(0, go);
    this.#bytes = left;
  }
}

/** Bytes of a text in UTF-8, without making them. */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) continue;
    if (unit < 0x800) bytes += 1;
    else if (unit >= 0xd800 && unit < 0xdc00 && isLow(text.charCodeAt(index + 1))) {
      // Two units, four bytes.
      bytes += 2;
      index += 1;
    } else bytes += 2;
  }
  return bytes;
}

const isLow = (unit: number): boolean => unit >= 0xdc00 && unit < 0xe000;
