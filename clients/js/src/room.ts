/** A membership: where it stands in the log, and what it makes of what comes. */
import { company } from "./company.ts";
import { ChorusError, errorOf } from "./errors.ts";
import { inTime, insist } from "./insist.ts";
import { cell, hub } from "./observable.ts";
import { outbox, type Quota } from "./outbox.ts";
import { readers } from "./reader.ts";
import { receipts } from "./receipts.ts";
import { typing } from "./typing.ts";
import type { JoinOptions, Page, Reset, Room, RoomEvent, RoomEvents, RoomStatus } from "./types.ts";
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
  let over = false;

  const isReady = () => isIn && status.value.state === "joined";
  const away = () => {
    isIn = false;
    turn++;
    const { value } = status;
    if (!over && (value.state === "joined" || "error" in value)) status.set({ state: value.state === "joining" ? "joining" : "recovering" });
  };

  const join = () => {
    away();
    insist(
      wire,
      forThisTurn({ type: "join", room: name, ...(position && { since: position }), ...(recent && { recent }) }),
      (answer) => (answer.type === "ok" ? entered(answer) : end(errorOf(answer))),
      (answer) => status.set({ state: status.value.state as "joining" | "recovering", error: errorOf(answer) }),
    );
  };

  /** What is not wanted any more when the connection was lost since, or the room was joined again. */
  const forThisTurn = (request: Request) => {
    const mine = turn;
    return () => (mine === turn && !over ? request : undefined);
  };

  const entered = ({ epoch, seq, head, count, recovered, members, markers }: Frame) => {
    const before = position;
    isIn = true;
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
    status.set({ state: "left", ...(error && { error }) });
    iterators.end(error);
    posts.end(error ?? left());
    if (error) events.emit("error", error);
  };

  const who = company(() =>
    insist(wire, forThisTurn({ type: "presence", room: name }), ({ members, count }) => count === undefined || who.told(members, count)),
  );
  const marks = receipts(wire, isReady, (target) => ({ type: "read", room: name, target }));
  const keys = typing((on) => isReady() && wire.ask(() => ({ type: "typing", room: name, on }), ignore));
  const posts = outbox(wire, quota, isReady, join);

  const history: Room["history"] = (asked) =>
    inTime(
      wire.timeout,
      (isWanted) =>
        new Promise<Page>((resolve, reject) => {
          if (over) throw left();
          insist(
            wire,
            () => (isWanted() ? { type: "history", room: name, ...asked } : undefined),
            (answer) => {
              const { events, more } = answer as unknown as Page;
              if (answer.type === "ok") resolve({ events, more });
              else reject(errorOf(answer));
            },
          );
        }),
    );

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
      if (!over) wire.ask(() => ({ type: "leave", room: name }), ignore);
      end();
    },
  };

  const posting = async (request: Request, how: Parameters<Room["send"]>[1]) => {
    if (over) throw left();
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

function left(): ChorusError {
  return new ChorusError("closed", "the room was left");
}

/** Of what is said and may be lost, a refusal is nobody's matter. */
function ignore(): void {}
