/** A membership: where it stands in the log, and what it makes of what comes. */
import { backoff } from "./backoff.ts";
import { passes } from "./codes.ts";
import { company } from "./company.ts";
import { ChorusError } from "./errors.ts";
import { cell, hub } from "./observable.ts";
import { outbox, type Quota } from "./outbox.ts";
import { readers } from "./reader.ts";
import { receipts } from "./receipts.ts";
import { typing } from "./typing.ts";
import type { JoinOptions, Page, Position, Reset, Room, RoomEvent, RoomEvents, RoomStatus } from "./types.ts";
import type { Frame, Request, Wire } from "./wire.ts";

export interface Membership {
  readonly room: Room;
  /** There is a connection, or there is none any more. */
  up(): void;
  down(): void;
  take(frame: Frame): void;
  end(error?: ChorusError): void;
}

/** The logged events. Others with a `seq` are of a later server: they move the position, and are not shown. */
const EVENTS = ["message", "edit", "delete", "reaction"];

export function membership(name: string, options: JoinOptions, wire: Wire, quota: Quota, onEnd: () => void): Membership {
  const status = cell<RoomStatus>({ state: "joining" });
  const events = hub<RoomEvents>();
  const iterators = readers();
  const { recent } = options;
  let position = options.since;
  /** The join was answered, so what comes goes on from the position. */
  let isIn = false;
  /** Up to here it is replayed. */
  let upTo = 0;
  let caughtUp = { caughtUp: 0, recovered: false };
  let turn = 0;
  let failures = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let over = false;

  const isReady = () => isIn && status.value.state === "joined";
  const away = () => {
    isIn = false;
    turn++;
    clearTimeout(timer);
    if (!over && status.value.state === "joined") status.set({ state: "recovering" });
  };

  const join = () => {
    away();
    const mine = turn;
    wire.ask(
      () => (mine === turn && !over ? { type: "join", room: name, ...(position && { since: position }), ...(recent && { recent }) } : undefined),
      (answer) => {
        if (!answer || mine !== turn || over) return;
        if (answer.type === "ok") return entered(answer);
        const { code, retry_after_ms: after } = answer;
        if (after === undefined && !passes(String(code))) return end(errorOf(answer));
        const wait = Math.max(after ?? 0, backoff(failures++));
        if (code === "rate_limited") wire.hold(wait);
        timer = setTimeout(join, wait);
      },
    );
  };

  const entered = ({ epoch, seq, head, count, recovered, members, markers }: Frame) => {
    const before = position;
    isIn = true;
    failures = 0;
    position = { epoch: epoch!, seq: seq! };
    upTo = head!;
    caughtUp = { caughtUp: count ?? 0, recovered: recovered === true };
    if (before && !recovered) reset("unrecovered");
    who.told(members);
    marks.told(markers ?? [], true);
    settle();
  };

  const settle = () => {
    if (!isIn || isReady() || position!.seq < upTo) return;
    status.set({ state: "joined", ...caughtUp });
    posts.flush();
    marks.flush();
  };

  const reset = (reason: Reset["reason"]) => {
    const value: Reset = { type: "reset", room: name, reason, ...position! };
    iterators.push(value);
    events.emit("reset", value);
  };

  const logged = (frame: Frame) => {
    const { epoch, seq, type } = frame as RoomEvent;
    if (seq <= position!.seq) return;
    // A hole: neither this nor what follows may be shown before what is missing.
    if (seq !== position!.seq + 1) return join();
    position = { epoch, seq };
    if (EVENTS.includes(type)) {
      const event = frame as unknown as RoomEvent;
      if (type === "message") keys.heard(event.from, false);
      posts.saw(event);
      iterators.push(event);
      events.emit("event", event);
      events.emit(type, event as never);
    }
    settle();
  };

  const end = (error?: ChorusError) => {
    if (over) return;
    over = true;
    away();
    keys.forget();
    marks.end();
    onEnd();
    status.set(error ? { state: "left", error } : { state: "left" });
    iterators.end(error);
    posts.end(error ?? new ChorusError("closed", "the room was left"));
    if (error) events.emit("error", error);
  };

  const who = company(() => {
    const mine = turn;
    wire.ask(
      () => (mine === turn && !over ? { type: "presence", room: name } : undefined),
      (answer) => mine === turn && answer?.type === "ok" && who.told(answer.members, answer.count),
    );
  });
  const marks = receipts(wire, isReady, (target) => ({ type: "read", room: name, target }));
  const keys = typing((on) => isReady() && wire.ask(() => ({ type: "typing", room: name, on })));
  const posts = outbox(wire, quota, isReady, join);

  const history = (asked: Parameters<Room["history"]>[0]): Promise<Page> => {
    const { timeout } = wire;
    const request = { type: "history", room: name, ...asked };
    return new Promise((resolve, reject) => {
      let done = false;
      let failed = 0;
      const late = setTimeout(() => finish(new ChorusError("timeout", `no answer within ${timeout} ms`)), timeout);
      const finish = (end: Page | ChorusError) => {
        done = true;
        clearTimeout(late);
        if (end instanceof ChorusError) reject(end);
        else resolve(end);
      };
      const ask = () => {
        if (over) return finish(new ChorusError("closed", "the room was left"));
        wire.ask(
          () => (done ? undefined : request),
          (answer) => {
            if (done) return;
            if (answer?.type === "ok") {
              const { events, more } = answer as unknown as Page;
              return finish({ events, more });
            }
            const error = answer && errorOf(answer);
            if (error && !passes(error.code)) return finish(error);
            setTimeout(() => done || ask(), Math.max(error?.retryAfterMs ?? 0, backoff(failed++)));
          },
        );
      };
      ask();
    });
  };

  const room: Room = {
    name,
    status,
    get position() {
      return position;
    },
    presence: who.presence,
    typing: keys.typists,
    markers: marks.markers,
    on: events.on,
    [Symbol.asyncIterator]: iterators.open,
    send(data, how) {
      keys.sent();
      return posting({ type: "message", room: name, data }, how);
    },
    edit: (target, data, how) => posting({ type: "edit", room: name, target, data }, how),
    delete: (target, how) => posting({ type: "delete", room: name, target }, how),
    react: (target, key, on = true, how) => posting({ type: "react", room: name, target, key, on }, how),
    read: marks.read,
    type: (on = true) => keys.type(on),
    history,
    leave() {
      if (!over && isIn) wire.ask(() => ({ type: "leave", room: name }));
      end();
    },
  };

  const posting = async (request: Request, how: Parameters<Room["send"]>[1]) => {
    if (over) throw new ChorusError("closed", "the room was left");
    return posts.send(request, how);
  };

  return {
    room,
    up: join,
    end,
    down() {
      away();
      keys.forget();
    },
    take(frame) {
      const { type, from, on, markers, seq } = frame;
      if (type === "error") return end(errorOf(frame));
      if (type === "ok") return entered(frame);
      if (!isIn) return;
      if (type === "presence") who.changed(frame);
      else if (type === "typing") from === wire.user || keys.heard(from!, on === true);
      else if (type === "read") marks.told(markers!);
      else if (type === "reset") {
        position = { epoch: frame.epoch!, seq: seq! };
        upTo = 0;
        reset(frame.reason as Reset["reason"]);
        settle();
      } else if (seq !== undefined) logged(frame);
    },
  };
}

function errorOf({ code, message, retry_after_ms: retryAfterMs }: Frame): ChorusError {
  return new ChorusError(String(code), message, { retryAfterMs });
}
