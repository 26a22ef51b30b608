/** A room without a server, for what a real one can't be brought to do at will: a log whose events, resets and refusals a test hands out one by one. */
import { ChorusError } from "../src/errors.ts";
import { cell, hub } from "../src/observable.ts";
import type { Json, Marker, Page, Position, Presence, Reset, Room, RoomEvent, RoomEvents, RoomStatus, Sent, SendOptions } from "../src/types.ts";

export function failure(code: string): ChorusError {
  return new ChorusError(code);
}

type Body = { type: "message"; data: Json } | { type: "edit"; target: Position; data: Json } | { type: "delete"; target: Position } | { type: "reaction"; target: Position; key: string; on: boolean };

/** What was sent, and waits for the test to say what became of it. */
export interface Waiting {
  readonly id: string;
  readonly data: Json;
  ok(position: Position, duplicate?: boolean): void;
  fail(code: string): void;
}

export class DoubleRoom implements Room {
  readonly name = "lobby";
  readonly status = cell<RoomStatus>({ state: "joining" });
  readonly presence = cell<Presence>({ count: 0 });
  readonly typing = cell<readonly string[]>([]);
  readonly markers = cell<readonly Marker[]>([]);
  position: Position | undefined;
  epoch = "a.0";
  /** The log, as `history` gives it. Its first number may be trimmed away by a test. */
  log: RoomEvent[] = [];
  seq = 0;
  readonly sent: Waiting[] = [];
  asked = 0;
  /** Set: `history` rejects with it. */
  refusal: ChorusError | undefined;
  readonly #events = hub<RoomEvents>();
  readonly on = this.#events.on;
  /** Whether anybody listens to what is logged. */
  get followed(): boolean {
    return this.#events.wants("event") || this.#events.wants("reset");
  }

  /** Logs an event without telling anybody: history, or what happens while this client is away. */
  write(body: Body, from = "alice", id?: string): RoomEvent {
    const event = { ...body, room: this.name, epoch: this.epoch, seq: ++this.seq, at: 1000 + this.seq, from, ...(id !== undefined && { id }) } as RoomEvent;
    this.log.push(event);
    return event;
  }

  say(data: Json, from?: string, id?: string): RoomEvent {
    return this.tell(this.write({ type: "message", data }, from, id));
  }

  tell<E extends RoomEvent>(event: E): E {
    this.position = { epoch: event.epoch, seq: event.seq };
    this.#events.emit("event", event);
    return event;
  }

  reset(reason: Reset["reason"], seq: number, epoch = this.epoch): void {
    this.epoch = epoch;
    this.position = { epoch, seq };
    this.#events.emit("reset", { type: "reset", room: this.name, epoch, seq, reason });
  }

  /** The `ok` of a join, then what it replays, then live. */
  joined(recent = 0): void {
    const replay = this.log.slice(this.log.length - recent);
    this.position = { epoch: this.epoch, seq: replay[0] ? replay[0].seq - 1 : this.seq };
    this.status.set({ state: "recovering" });
    for (const event of replay) this.tell(event);
    this.live(recent);
  }

  live(caughtUp = 0): void {
    this.status.set({ state: "joined", caughtUp, recovered: true });
  }

  send(data: Json, options?: SendOptions): Promise<Sent> {
    return new Promise((resolve, reject) => {
      const id = options?.id ?? "none";
      this.sent.push({ id, data, ok: (position, duplicate = false) => resolve({ ...position, id, duplicate }), fail: (code) => reject(failure(code)) });
    });
  }

  async history({ before = this.seq + 1, limit = 50 }: { before?: number; limit?: number } = {}): Promise<Page> {
    this.asked++;
    const all = this.log.filter((event) => event.seq < before);
    await Promise.resolve();
    if (this.refusal) throw this.refusal;
    return { events: all.slice(-limit), more: all.length > limit };
  }

  edit = (): never => this.#never();
  delete = (): never => this.#never();
  react = (): never => this.#never();
  read = (): never => this.#never();
  type = (): never => this.#never();
  leave = (): void => {};
  [Symbol.asyncIterator] = (): never => this.#never();

  #never(): never {
    throw new Error("this double can't");
  }
}
