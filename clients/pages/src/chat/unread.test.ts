import { expect, test } from "vitest";
import type { Entry, MessageEntry } from "chorus-client/timeline";
import { lastPosition, later, unread } from "./unread.ts";

const message = (seq: number, more: Partial<MessageEntry> = {}): MessageEntry => ({
  kind: "message",
  key: `a/${seq}`,
  position: { epoch: "a", seq },
  from: "tom",
  at: seq,
  edited: false,
  deleted: false,
  reactions: [],
  state: "sent",
  ...more,
});
const sending = (): MessageEntry => {
  const { position: _, ...entry } = message(0, { key: "sent x", from: "anna", state: "sending" });
  return entry;
};
const gap: Entry = { kind: "gap", key: "gap 1", state: "open" };
const seen = (seq: number, epoch = "a") => ({ epoch, seq });

test("what came after what was seen is unread", () => {
  const entries = [message(1), message(2), message(4), message(5)];
  expect(unread(entries, seen(2), "anna")).toEqual({ count: 2, first: "a/4" });
  expect(unread(entries, seen(3), "anna")).toEqual({ count: 2, first: "a/4" });
  expect(unread(entries, seen(5), "anna")).toEqual({ count: 0, first: undefined });
  expect(unread(entries, seen(0), "anna")).toEqual({ count: 4, first: "a/1" });
});

test("before anything is known nothing is unread", () => {
  expect(unread([message(1)], undefined, "anna").count).toBe(0);
  expect(unread([], seen(0), "anna").count).toBe(0);
});

test("who writes has read what was before; what is being sent changes nothing", () => {
  expect(unread([message(1), message(2, { from: "anna" }), message(3)], seen(0), "anna")).toEqual({ count: 1, first: "a/3" });
  expect(unread([message(1), sending()], seen(0), "anna")).toEqual({ count: 1, first: "a/1" });
});

test("what was deleted is not to be read, and a gap is no message", () => {
  expect(unread([message(1), gap, message(2, { deleted: true }), message(3)], seen(1), "anna")).toEqual({ count: 1, first: "a/3" });
});

test("what stands in another log came later", () => {
  const other = message(1, { key: "b/1", position: { epoch: "b", seq: 1 } });
  expect(unread([message(7), other], seen(7), "anna")).toEqual({ count: 1, first: "b/1" });
});

test("of two places the later counts, and of two logs the other", () => {
  expect(later(undefined, seen(1))).toEqual(seen(1));
  expect(later(seen(1), undefined)).toEqual(seen(1));
  expect(later(seen(1), seen(2))).toEqual(seen(2));
  expect(later(seen(2), seen(1))).toEqual(seen(2));
  expect(later(seen(9), seen(1, "b"))).toEqual(seen(1, "b"));
});

test("the last place is that of the last message in the log", () => {
  expect(lastPosition([message(1), message(2), gap, sending()])).toEqual(seen(2));
  expect(lastPosition([sending()])).toBeUndefined();
});
