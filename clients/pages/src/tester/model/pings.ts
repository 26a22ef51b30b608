/** Round trips, measured by a text that a Chorus server answers with `pong` and an echo with itself. */

export interface Ping {
  /** ms since 1970, when it went out. */
  readonly at: number;
  /** Round trip, in ms. */
  readonly ms: number;
}

export type PingKind = "pong" | "echo";

const MARK = "tester-ping-";
const MOST = 120;
/** What is not answered by then is lost, in ms. */
const PATIENCE = 10_000;

export class Pings {
  #sent = new Map<string, { readonly at: number; readonly start: number }>();
  #points: readonly Ping[] = [];
  #count = 0;
  #lost = 0;
  /** Known from the first answer on. */
  kind: PingKind | undefined;

  /** The newest last, at most 120. */
  get points(): readonly Ping[] {
    return this.#points;
  }

  get lost(): number {
    return this.#lost;
  }

  /** The frame to send. `start` is of a clock that never jumps, in ms. */
  next(at: number, start: number): string {
    this.#expire(start);
    const ref = `${MARK}${(this.#count += 1)}`;
    this.#sent.set(ref, { at, start });
    return JSON.stringify({ type: "ping", ref });
  }

  /** Whether the frame was the answer to one of ours. */
  answered(frame: { readonly type?: unknown; readonly ref?: unknown }, now: number): boolean {
    if ((frame.type !== "pong" && frame.type !== "ping") || typeof frame.ref !== "string") return false;
    const sent = this.#sent.get(frame.ref);
    if (!sent) return false;
    this.#sent.delete(frame.ref);
    this.kind = frame.type === "pong" ? "pong" : "echo";
    this.#points = [...this.#points, { at: sent.at, ms: now - sent.start }].slice(-MOST);
    return true;
  }

  /** The connection ended: what it was asked will not be answered. */
  forget(): void {
    this.#lost += this.#sent.size;
    this.#sent.clear();
  }

  /** A new connection, perhaps to another server. */
  clear(): void {
    this.#sent.clear();
    this.#points = [];
    this.#lost = 0;
    this.kind = undefined;
  }

  #expire(now: number): void {
    for (const [ref, { start }] of this.#sent) {
      if (now - start < PATIENCE) continue;
      this.#sent.delete(ref);
      this.#lost += 1;
    }
  }
}

interface Summary {
  readonly least: number;
  readonly median: number;
  readonly most: number;
}

export function summary(points: readonly Ping[]): Summary | undefined {
  const sorted = points.map(({ ms }) => ms).sort((a, b) => a - b);
  const [least] = sorted;
  const most = sorted.at(-1);
  const median = sorted[Math.floor(sorted.length / 2)];
  if (least === undefined || most === undefined || median === undefined) return undefined;
  return { least, median, most };
}
