/**
 * What a room's log looks like to a reader: messages with their edits and reactions, deletions, what is being sent, and
 * where something is missing. For any UI; `chorus-client/react` uses it.
 */
import { ChorusError } from "./errors.ts";
import { newId } from "./id.ts";
import { listenersOf } from "./observable.ts";
import type { Chat, Json, MessageEvent, Observable, Page, Position, Reset, Room, RoomEvent } from "./types.ts";
import { Drafts, keyOf } from "./timeline/drafts.ts";
import { at } from "./timeline/line.ts";
import { Rows } from "./timeline/rows.ts";
import type { GapEntry, MessageEntry, TimelineState } from "./timeline/types.ts";

export type { Entry, GapEntry, MessageEntry, Reaction, TimelineState } from "./timeline/types.ts";

/** How long what a join replays, and what a crowd says at once, is gathered before listeners hear of it, in ms. */
const GATHER = 50;
/** So many events within that time are told one by one: that is no crowd. */
const FEW = 4;
/** How many pages `loadOlder` reads when they hold no message, but only what was done to others. */
const PAGES = 5;

/**
 * Follows `room` from now on; `loadOlder` brings what was before. Snapshots are immutable, and an entry is the same object
 * in each of them until something about it changes.
 */
export class Timeline implements Observable<TimelineState> {
  readonly #room: Room;
  readonly #chat: Pick<Chat, "user"> | undefined;
  readonly #drafts = new Drafts();
  readonly #rows: Rows;
  readonly #listeners = listenersOf<void>();
  readonly #ends: (() => void)[];
  #snapshot: TimelineState | undefined;
  #gathering: ReturnType<typeof setTimeout> | undefined;
  /** There is something that listeners have not heard of. */
  #untold = false;
  /** How many events are still told one by one. */
  #single = FEW;
  /** Where the last event or reset that was taken up has led. */
  #stand: Position | undefined;
  /** What is held begins with this number. */
  #oldest: number | undefined;
  #older: TimelineState["older"] = "loading";
  #error: ChorusError | undefined;
  /** Counts the times when the log went another way than was seen: what was asked before that is not to be used. */
  #turns = 0;

  /** `chat` tells under whose name a message stands that is being sent, and that nobody else's is taken for it. */
  constructor(room: Room, chat?: Pick<Chat, "user">) {
    this.#room = room;
    this.#chat = chat;
    this.#rows = new Rows((event) => this.#keyOf(event));
    if (room.position) this.#begin(room.position);
    this.#ends = [
      room.on("event", (event) => this.#event(event)),
      room.on("reset", (reset) => this.#reset(reset)),
      room.status.subscribe(() => this.#look()),
    ];
    this.#look();
  }

  get value(): TimelineState {
    return (this.#snapshot ??= {
      entries: [...this.#rows.entries, ...this.#drafts.entries],
      older: this.#rows.severed ? "none" : this.#older,
      ...(this.#error && { error: this.#error }),
    });
  }

  subscribe(listener: (state: TimelineState) => void): () => void {
    // Each hears what is the value then: one before it may have changed it.
    return this.#listeners.add(() => listener(this.value));
  }

  /** Shows the message at once and sends it. What becomes of it is in its entry, whose key this answers. Never throws. */
  send(data: Json): string {
    const id = newId();
    const { key } = this.#drafts.add(id, data, this.#chat?.user ?? "");
    void this.#send(id, data);
    return key;
  }

  /** Sends once more what is `failed` or `unknown`: with the same id, so that it is not doubled if the server remembers it. */
  retry(entry: MessageEntry): void {
    const draft = this.#drafts.stuck(entry);
    if (!draft) return;
    this.#drafts.again(draft.id);
    void this.#send(draft.id, draft.data);
  }

  /** Takes away what is `failed` or `unknown`. If it is in the log all the same, it stays when it comes. */
  discard(entry: MessageEntry): void {
    const draft = this.#drafts.stuck(entry);
    if (!draft) return;
    this.#drafts.remove(draft.id);
    this.#changed();
  }

  /** Loads about `limit` events from before the first entry, at most 200. Does nothing unless `older` is `more`; never rejects, see `error`. */
  async loadOlder(limit = 50): Promise<void> {
    if (this.value.older !== "more") return;
    this.#older = "loading";
    this.#error = undefined;
    this.#changed();
    try {
      for (let pages = 0, more = true, messages = 0; more && !messages && pages < PAGES; pages++) {
        const turn = this.#turns;
        const page = await this.#room.history({ before: this.#oldest ?? 1, limit });
        // After a turn of the log, the page may hold what is not in it any more.
        if (turn !== this.#turns) break;
        messages = this.#rows.prepend(page.events);
        this.#oldest = page.events[0]?.seq ?? this.#oldest;
        more = page.more && page.events.length > 0;
        if (!more) this.#older = "none";
      }
    } catch (error) {
      this.#error = error as ChorusError;
    }
    if (this.#older === "loading") this.#older = "more";
    this.#changed();
  }

  /** Loads about `limit` events of the upper end of an `open` gap, at most 200. Never rejects, see the gap's `error`. */
  async fill(entry: GapEntry, limit = 50): Promise<void> {
    const gap = this.#rows.gap(entry.key);
    if (gap?.entry.state !== "open") return;
    this.#rows.mark(gap, "loading");
    this.#changed();
    let page: Page | undefined;
    let failure: ChorusError | undefined;
    const turn = this.#turns;
    try {
      page = await this.#room.history({ before: gap.before, limit });
    } catch (error) {
      failure = error as ChorusError;
    }
    if (this.#rows.gap(entry.key) === gap) {
      if (page && turn === this.#turns) this.#rows.fill(gap, page.events, page.more);
      else this.#rows.mark(gap, "open", failure);
    }
    this.#changed();
  }

  /**
   * Forgets all but about the newest `keep` entries, as `loadOlder` would have to bring them again. For a list that is left open for days:
   * call it while its reader is at the end.
   */
  trim(keep: number): void {
    const oldest = this.#rows.trim(keep);
    if (oldest === undefined) return;
    this.#oldest = oldest;
    if (this.#older === "none") this.#older = "more";
    this.#turns++;
    this.#changed();
  }

  /** Follows no more. What is being sent is sent all the same. */
  dispose(): void {
    for (const end of this.#ends) end();
    this.#listeners.clear();
    clearTimeout(this.#gathering);
  }

  #keyOf(event: MessageEvent): string {
    return this.#drafts.claim(event, this.#chat?.user) ?? at(event);
  }

  /** From here on the room is followed, and nothing is held yet. */
  #begin({ epoch, seq }: Position): void {
    this.#stand = { epoch, seq };
    this.#oldest = seq + 1;
    this.#older = seq > 0 ? "more" : "none";
  }

  #event(event: RoomEvent): void {
    if (this.#oldest === undefined) this.#begin({ epoch: event.epoch, seq: event.seq - 1 });
    if (this.#rows.append(event)) this.#begin({ epoch: event.epoch, seq: event.seq - 1 });
    this.#stand = { epoch: event.epoch, seq: event.seq };
    this.#gather();
  }

  #reset(reset: Reset): void {
    const stand = this.#stand;
    this.#stand = { epoch: reset.epoch, seq: reset.seq };
    if (reset.reason === "new") {
      this.#rows.clear();
      this.#drafts.lose(() => true, lost());
    } else if (reset.reason === "forked") {
      // Those that were sent from here have a place among the drafts again, and their text is not lost with the server.
      const own = this.#rows.after(reset.seq).filter(({ key, id }) => id !== undefined && key === keyOf(id));
      this.#rows.dropAfter(reset.seq);
      for (const entry of own) this.#drafts.restore(entry);
      this.#drafts.lose(({ seq }) => seq > reset.seq, lost());
    } else if (stand) {
      // Whether that log is this one, nobody knows, and so not what became of what its server had confirmed.
      if (reset.reason === "unrecovered") this.#drafts.lose(({ epoch }) => epoch !== reset.epoch, unknown());
      this.#rows.leap(stand, reset);
    }
    if (reset.reason === "new" || reset.reason === "forked") this.#turns++;
    if (this.#rows.empty) this.#begin(reset);
    this.#settle();
    this.#gather();
  }

  /** The room's status has changed: a first join may be over, and a replay is gathered no longer. */
  #look(): void {
    const { state } = this.#room.status.value;
    if (state === "joined" && this.#oldest === undefined && this.#room.position) this.#begin(this.#room.position);
    if (state === "left" && this.#older === "loading" && this.#oldest === undefined) this.#older = "none";
    if (state === "joined" || state === "left") this.#changed();
  }

  async #send(id: string, data: Json): Promise<void> {
    // Told after it was written, so that what listeners do at once comes behind it.
    const sending = this.#room.send(data, { id });
    this.#changed();
    try {
      this.#drafts.confirm(id, await sending);
      this.#settle();
    } catch (error) {
      this.#drafts.fail(id, error as ChorusError);
    }
    this.#changed();
  }

  /** What was confirmed, and lies where we have passed by without seeing it, is put where we stand. */
  #settle(): void {
    for (const { id, position, from, at, data } of this.#drafts.passed(this.#stand?.seq ?? 0)) {
      if (!position || id === undefined || data === undefined) continue;
      this.#rows.append({ type: "message", room: this.#room.name, ...position, from: this.#chat?.user ?? from, at, id, data });
    }
  }

  /**
   * A replay comes event by event, each a task of its own, and so does what a crowd says: listeners hear of some together, for whatever they
   * do, they do for all that is held.
   */
  #gather(): void {
    this.#snapshot = undefined;
    this.#untold = true;
    this.#gathering ??= setTimeout(() => this.#tell(), GATHER);
    if (this.#room.status.value.state !== "joined" || this.#single === 0) return;
    this.#single--;
    this.#changed();
  }

  /** By a timer and not by the time that has passed: it comes when the listeners are done with what they heard before. */
  #tell(): void {
    this.#gathering = undefined;
    this.#single = this.#untold ? 0 : FEW;
    if (!this.#untold) return;
    this.#gathering = setTimeout(() => this.#tell(), GATHER);
    this.#changed();
  }

  #changed(): void {
    this.#untold = false;
    this.#snapshot = undefined;
    this.#listeners.tell();
  }
}

function unknown(): ChorusError {
  return new ChorusError("unknown", "the server that confirmed this message is gone, and whether its log is that of today can't be told");
}

function lost(): ChorusError {
  return new ChorusError("lost", "the server that confirmed this message was lost, and the message with it: it may be sent again");
}
