import type { ChorusError, MessageEvent, Position, Reset, RoomEvent } from "../types.ts";
import { type Amendment, Amendments } from "./amendments.ts";
import { at, Line } from "./line.ts";
import type { Entry, GapEntry, MessageEntry } from "./types.ts";

/** A hole between what was held when the room went on elsewhere, and where it went on. */
export interface Gap {
  readonly kind: "gap";
  readonly key: string;
  /** The last that is held before it. */
  readonly after: Position;
  /** The first number that is held behind it: what is missing is before that. */
  before: number;
  /** Nobody knows yet whether both sides are of one log: epochs can't be compared. */
  readonly foreign: boolean;
  entry: GapEntry;
}

type Row = Line | Gap;

const isGap = (row: Row | undefined): row is Gap => row !== undefined && "kind" in row;

/** `Array.prototype.findLastIndex` is of 2023, and so not everywhere. */
function lastIndex<T>(list: readonly T[], test: (one: T) => boolean): number {
  let index = list.length - 1;
  while (index >= 0 && !test(list[index] as T)) index--;
  return index;
}

/** What is held of a room's log, in order, with its holes. Knows nothing of time, of connections, or of what is being sent. */
export class Rows {
  /** Gives a message the key that it had while it was being sent. */
  readonly #keyOf: (event: MessageEvent) => string;
  #rows: Row[] = [];
  readonly #lines = new Map<string, Line>();
  /** What was done to messages that are not held, by the message. */
  readonly #waiting = new Map<string, Amendments>();
  /** Gaps so far, for their keys, and how many of those that there are now are foreign. */
  #gaps = 0;
  #foreigners = 0;

  constructor(keyOf: (event: MessageEvent) => string) {
    this.#keyOf = keyOf;
  }

  get entries(): Entry[] {
    return this.#rows.map((row) => row.entry);
  }

  get empty(): boolean {
    return this.#rows.length === 0;
  }

  /** Whether what is held first may be of another log than what comes now. */
  get severed(): boolean {
    return this.#foreigners > 0;
  }

  gap(key: string): Gap | undefined {
    return this.#rows.find((row): row is Gap => isGap(row) && row.key === key);
  }

  /** Takes up an event that came live, or was replayed by a join. Answers whether nothing from before it is held any more. */
  append(event: RoomEvent): boolean {
    // A replay that began anew may overlap what was held before the gap. Then it is the same log after all, the gap
    // is none, and the log's word counts from there on.
    const index = this.#foreign();
    const known = index < 0 ? undefined : this.#lines.get(at(event));
    if (known && this.#rows.indexOf(known) < index) {
      this.#forget(this.#rows.splice(index, 1));
      this.dropAfter(event.seq - 1);
    }
    const anew = known !== undefined && this.empty;
    this.#place([event], this.#rows.length);
    return anew;
  }

  /** Takes up a page that ends where the first row begins. Answers how many messages came by it. */
  prepend(events: readonly RoomEvent[]): number {
    return this.#place(events, 0);
  }

  /** Goes on at `reset`, with a hole before it if something was held and something is missing. */
  leap(after: Position, reset: Reset): void {
    // A log that ends before what was seen of it has lost the rest.
    if (after.epoch === reset.epoch && reset.seq <= after.seq) return this.dropAfter(reset.seq);
    const last = this.#rows.at(-1);
    if (!last) return;
    // Nothing came since the last leap: both holes are one.
    const hole = isGap(last) ? last : undefined;
    if (hole) this.#forget(this.#rows.splice(-1));
    const foreign = hole?.foreign || (reset.reason === "unrecovered" && after.epoch !== reset.epoch);
    const lost = reset.reason === "trimmed" && hole?.entry.state !== "open";
    this.#dig(this.#rows.length, hole?.after ?? after, reset.seq + 1, foreign, lost ? "lost" : "open");
  }

  /** Puts a page, which ends where `gap` does, into it. */
  fill(gap: Gap, page: readonly RoomEvent[], more: boolean): void {
    let index = this.#rows.indexOf(gap);
    const last = lastIndex(page, (event) => {
      if (event.epoch === gap.after.epoch && event.seq <= gap.after.seq) return true;
      const line = this.#lines.get(at(event));
      return line !== undefined && this.#rows.indexOf(line) < index;
    });
    const fresh = page.slice(last + 1);
    const joint = page[last];
    if (joint && gap.foreign) {
      // It is the same log, and what is held behind the joint is not in it any more.
      const lost = this.#rows.findIndex((row, at) => at < index && !isGap(row) && row.position.seq > joint.seq);
      if (lost >= 0) this.#forget(this.#rows.splice(lost, index - lost));
      index = this.#rows.indexOf(gap);
    }
    this.#place(fresh, index + 1);
    gap.before = fresh[0]?.seq ?? gap.before;
    const level = fresh[0]?.epoch === gap.after.epoch && gap.before === gap.after.seq + 1;
    if (joint || level) this.#forget(this.#rows.splice(this.#rows.indexOf(gap), 1));
    else this.mark(gap, more && page.length > 0 ? "open" : "lost");
  }

  mark(gap: Gap, state: GapEntry["state"], error?: ChorusError): void {
    gap.entry = { kind: "gap", key: gap.key, state, ...(error && { error }) };
  }

  /** What came after `seq` of the log that goes on now. */
  after(seq: number): MessageEntry[] {
    // The numbers before a foreign gap may be those of another log.
    return this.#rows.slice(this.#foreign() + 1).flatMap((row) => (isGap(row) || row.position.seq <= seq ? [] : row.entry));
  }

  /** Takes back all that came after `seq`: it was lost with a server. */
  dropAfter(seq: number): void {
    // What was done to a message that is not held, and what that took the place of: if that counts again, nobody knows it here.
    const whole = [...this.#waiting.values()].every((one) => one.undo(seq));
    if (!whole) return this.clear();
    const start = this.#foreign() + 1;
    const first = this.#rows.findIndex(
      (row, index) => index >= start && (isGap(row) ? row.after.seq >= seq : row.position.seq > seq),
    );
    if (first >= 0) this.#forget(this.#rows.splice(first));
    // A deletion that is taken back leaves a text that we have no more: all from there on is read again.
    const broken = this.#rows.findIndex((row, index) => index >= start && !isGap(row) && !row.undo(seq));
    const line = this.#rows[broken];
    if (!line || isGap(line)) return;
    this.#forget(this.#rows.splice(broken));
    const { epoch, seq: number } = line.position;
    this.#dig(broken, { epoch, seq: number - 1 }, seq + 1, false, "open");
  }

  /** Forgets all but about the last `keep` rows. Answers the number that it begins with now, if it has forgotten any. */
  trim(keep: number): number | undefined {
    let cut = this.#rows.length - keep;
    if (cut <= 0) return undefined;
    // It begins with a message, and with one that stands in its place.
    for (let row; (row = this.#rows[cut]); cut++) {
      const before = this.#rows[cut - 1];
      if (!isGap(row) && (isGap(before) || (before && before.position.seq < row.position.seq))) break;
    }
    const first = this.#rows[cut];
    if (!first || isGap(first)) return undefined;
    const { seq } = first.position;
    const gone = this.#rows.splice(0, cut);
    this.#forget(gone);
    // What was done before comes again with the message; what was done since does not.
    for (const [target, amendments] of this.#waiting) if (amendments.all.every((one) => one.seq < seq)) this.#waiting.delete(target);
    for (const line of gone) if (!isGap(line)) this.#wait(at(line.position), line.since(seq));
    return seq;
  }

  clear(): void {
    this.#rows = [];
    this.#foreigners = 0;
    this.#lines.clear();
    this.#waiting.clear();
  }

  #dig(index: number, after: Position, before: number, foreign: boolean, state: GapEntry["state"]): void {
    const key = `gap ${++this.#gaps}`;
    if (foreign) this.#foreigners++;
    this.#rows.splice(index, 0, { kind: "gap", key, after, before, foreign, entry: { kind: "gap", key, state } });
  }

  #forget(rows: readonly Row[]): void {
    for (const row of rows) {
      if (!isGap(row)) this.#lines.delete(at(row.position));
      else if (row.foreign) this.#foreigners--;
    }
  }

  #foreign(): number {
    return this.#foreigners ? lastIndex(this.#rows, (row) => isGap(row) && row.foreign) : -1;
  }

  /** What is held already is taken from behind `index`, or is the last. */
  #place(events: readonly RoomEvent[], index: number): number {
    const lines: Line[] = [];
    for (const event of events) {
      if (event.type !== "message") {
        this.#amend(event);
        continue;
      }
      const position = at(event);
      let line = this.#lines.get(position);
      if (line) {
        // Its `ok` came without it, and it was put where we stood; now its place is known.
        const before = this.#rows.indexOf(line);
        if (before >= 0) this.#rows.splice(before, 1);
      } else {
        line = new Line(this.#keyOf(event), event);
        this.#lines.set(position, line);
      }
      line.amend(this.#waiting.get(position)?.all ?? []);
      this.#waiting.delete(position);
      lines.push(line);
    }
    if (lines.length) this.#rows.splice(index, 0, ...lines);
    return lines.length;
  }

  #amend(event: Amendment): void {
    const target = at(event.target);
    const line = this.#lines.get(target);
    if (line) line.amend([event]);
    else this.#wait(target, [event]);
  }

  #wait(target: string, events: readonly Amendment[]): void {
    if (!events.length) return;
    const waiting = this.#waiting.get(target) ?? new Amendments();
    waiting.add(events);
    this.#waiting.set(target, waiting);
  }
}
