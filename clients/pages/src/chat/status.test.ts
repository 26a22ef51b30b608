import { expect, test } from "vitest";
import type { ChorusError, RoomStatus, Status } from "chorus-client";
import { sentence, words, type Traffic } from "./status.ts";

const connected: Status = { state: "connected", transport: "websocket", user: "anna", node: "node-1", session: "s" };
const joined: RoomStatus = { state: "joined", caughtUp: 0, recovered: true };
const error = (code: string, message: string): ChorusError => Object.assign(new Error(message), { name: "ChorusError" as const, code });
const said = (status: Status, room: RoomStatus | undefined = joined, now = 0, traffic: Traffic = {}) => {
  const { text, tail = "" } = words(status, room, now, traffic);
  return text + tail;
};

test("the wait is counted down, and is never nought", () => {
  const waiting: Status = { state: "waiting", attempt: 2, retryAt: 3_000, reason: "connection lost" };
  expect([0, 999, 1_001, 2_500, 3_000, 9_000].map((now) => said(waiting, joined, now))).toEqual([
    "reconnecting in 3 s",
    "reconnecting in 3 s",
    "reconnecting in 2 s",
    "reconnecting in 1 s",
    "reconnecting in 1 s",
    "reconnecting in 1 s",
  ]);
  expect(words(waiting, joined, 0)).toMatchObject({ help: "connect", why: "connection lost" });
});

test("a connection is told with its room", () => {
  expect(said(connected)).toBe("connected to node-1");
  expect(said({ ...connected, transport: "sse" })).toBe("connected to node-1, without a WebSocket");
  expect(said(connected, { state: "joining" })).toBe("joining…");
  expect(words(connected, { state: "joining", error: error("too_large", "an event stream carries 8 rooms") }, 0)).toMatchObject({ text: "joining…", why: "an event stream carries 8 rooms" });
  expect(said(connected, { state: "recovering" })).toBe("catching up…");
  expect(said(connected, joined, 0, { caughtUp: 1 })).toBe("caught up: 1 message");
  expect(said(connected, joined, 0, { caughtUp: 1_200 })).toBe("caught up: 1,200 messages");
  expect(said(connected, { state: "left", error: error("forbidden", "no") })).toBe("you may not be in this room");
  expect(said(connected, { state: "left", error: error("odd", "the moon is full") })).toBe("the moon is full");
});

test("what does not go through is told before anything good, and only where there is a connection", () => {
  expect(said(connected, joined, 0, { heldUp: 1, caughtUp: 5 })).toBe("sending is held up: 1 waits");
  expect(said(connected, joined, 0, { heldUp: 12 })).toBe("sending is held up: 12 wait");
  expect(said({ state: "offline" }, joined, 0, { heldUp: 12 })).toBe("offline: this device has no network");
});

test("without a connection the room says nothing", () => {
  expect(said({ state: "connecting", attempt: 0 })).toBe("connecting…");
  expect(said({ state: "connecting", attempt: 3 }, { state: "recovering" })).toBe("reconnecting…");
  expect(said({ state: "offline" })).toBe("offline: this device has no network");
  expect(said({ state: "idle" })).toBe("not connected");
});

test("an end has its reason", () => {
  const closed = (code: string, message: string): Status => ({ state: "closed", error: error(code, message) });
  expect(said(closed("banned", "that was rude"))).toBe("you were banned from this server: that was rude");
  expect(said(closed("token_expired", ""))).toBe("the sign-in is over");
  expect(said(closed("odd", "odd"))).toBe("the server ended the connection (odd)");
  expect(said({ state: "closed" })).toBe("signed out");
});

test("what stands by itself is a sentence", () => {
  expect(sentence("this room is full")).toBe("This room is full.");
  expect(sentence("Away (1006)")).toBe("Away (1006)");
});
