/** People who talk in several rooms while a test breaks things, and the check that nobody lost or doubled anything. */
import { connect, type Chat, type Options, type Reset, type Room, type RoomEvent, type Sent } from "chorus-client";
import { expect, vi } from "vitest";
import WebSocket from "ws";
import { PATIENCE } from "../patience.ts";
import type { Stage } from "../stage.ts";

/** What a crowd needs of a cluster. */
type Place = Pick<Stage, "url" | "node" | "token" | "log">;

/** Between two messages of a person, unless a test takes longer than a room's log can hold then. */
const PAUSE_MS = 25;

export const Socket = WebSocket;

interface Attempt {
  readonly room: string;
  readonly id: string;
  readonly from: string;
  sent?: Sent;
  error?: string;
}

/** What one person saw of one room. */
interface Seat {
  readonly room: Room;
  readonly events: RoomEvent[];
  readonly resets: Reset[];
}

interface Person {
  readonly name: string;
  readonly chat: Chat;
  readonly seats: Seat[];
}

let crowds = 0;

export class Crowd {
  readonly people: Person[] = [];
  readonly attempts: Attempt[] = [];
  readonly #stage: Place;
  readonly #rooms: readonly string[];
  readonly #pause: number;
  #talking = true;
  #talks: Promise<unknown>[] = [];

  private constructor(stage: Place, pause: number) {
    this.#pause = pause;
    this.#stage = stage;
    const crowd = ++crowds;
    this.#rooms = ["a", "b", "c"].map((room) => `faults-${crowd}-${room}`);
  }

  /** Six people in three rooms: four of them through nginx, which sends one address to one node, and one on each of two nodes. */
  static async gather(stage: Place, options: Options = {}, pause = PAUSE_MS): Promise<Crowd> {
    const crowd = new Crowd(stage, pause);
    const urls = [stage.url, stage.url, stage.url, stage.url, stage.node(1), stage.node(2)];
    for (const [number, url] of urls.entries()) {
      const name = `person-${number}`;
      const chat = connect(url, { token: await stage.token(name), WebSocket: Socket, ...options });
      const seats = crowd.#rooms.map((name) => {
        const seat: Seat = { room: chat.join(name), events: [], resets: [] };
        seat.room.on("event", (event) => seat.events.push(event));
        seat.room.on("reset", (reset) => seat.resets.push(reset));
        return seat;
      });
      crowd.people.push({ name, chat, seats });
    }
    await crowd.until("everybody is in every room", () => crowd.isThere());
    crowd.#talks = crowd.people.map((person, number) => crowd.#talk(person, number));
    return crowd;
  }

  /** Waits until something is so. */
  async until(what: string, so: () => unknown): Promise<void> {
    await vi.waitFor(() => expect(so(), what).toBeTruthy(), { timeout: PATIENCE, interval: 10 });
  }

  /** Waits until so many more messages were acknowledged. */
  async acknowledged(more: number): Promise<void> {
    const sofar = () => this.attempts.filter(({ sent }) => sent).length;
    const enough = sofar() + more;
    await this.until(`${more} more messages are acknowledged`, () => sofar() >= enough);
  }

  isThere(): boolean {
    return this.people.every(({ seats }) => seats.every(({ room }) => room.status.value.state === "joined"));
  }

  /** Nothing more is said; what was said comes to its end, everybody sees all of the log, once and in order, and that has what was acknowledged. */
  async agrees(): Promise<void> {
    this.#talking = false;
    await this.until("everything that was said has its end", () => this.attempts.every(({ sent, error }) => sent ?? error));
    await Promise.all(this.#talks);
    for (const [index, name] of this.#rooms.entries()) {
      const log = await this.#stage.log(name);
      for (const { chat, seats } of this.people) {
        const { room, events, resets } = seats[index]!;
        await this.until(`${chat.user} sees the end of ${name}`, () => room.position?.seq === log.at(-1)?.seq);
        expect(resets).toEqual([]);
        expect(events).toEqual(log);
      }
      for (const { id, from, sent, error } of this.attempts.filter(({ room }) => room === name)) {
        const found = log.filter((event) => event.id === id);
        if (error) expect([error, found.length]).toEqual(["unknown", Math.min(found.length, 1)]);
        else expect(found).toMatchObject([{ id, from, epoch: sent!.epoch, seq: sent!.seq }]);
      }
      for (const { name: from } of this.people) {
        const said = log.filter((event) => event.from === from).map(({ data }) => data as number);
        expect(said).toEqual([...said].sort((one, other) => one - other));
      }
    }
    expect(this.attempts.filter(({ error }) => error)).toEqual([]);
  }

  leave(): void {
    this.#talking = false;
    for (const { chat } of this.people) chat.close();
  }

  async #talk({ name: from, seats }: Person, number: number): Promise<void> {
    const fates: Promise<unknown>[] = [];
    for (let count = 0; this.#talking; count++) {
      const { room } = seats[(count + number) % seats.length]!;
      const attempt: Attempt = { room: room.name, id: `${room.name} ${from} ${count}`, from };
      this.attempts.push(attempt);
      const settled = room.send(count, { id: attempt.id }).then(
        (sent) => (attempt.sent = sent),
        (error: { code: string }) => (attempt.error = error.code),
      );
      fates.push(settled);
      await new Promise((go) => setTimeout(go, this.#pause));
    }
    await Promise.all(fates);
  }
}
