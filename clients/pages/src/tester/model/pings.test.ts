import { expect, test } from "vitest";
import { Pings, summary } from "./pings.ts";

const ref = (text: string): string => (JSON.parse(text) as { ref: string }).ref;

test("a pong of a Chorus server is a round trip, and an echo's own words are one", () => {
  const pings = new Pings();
  const first = pings.next(1_000, 10);
  expect(JSON.parse(first)).toEqual({ type: "ping", ref: ref(first) });
  expect(pings.answered({ type: "pong", ref: ref(first) }, 12.5)).toBe(true);
  expect(pings.points).toEqual([{ at: 1_000, ms: 2.5 }]);
  expect(pings.kind).toBe("pong");

  const second = pings.next(2_000, 20);
  expect(pings.answered(JSON.parse(second) as object, 21)).toBe(true);
  expect(pings.kind).toBe("echo");
});

test("what is not ours is no answer, and an answer counts once", () => {
  const pings = new Pings();
  const sent = ref(pings.next(0, 0));
  expect(pings.answered({ type: "pong", ref: "somebody's" }, 1)).toBe(false);
  expect(pings.answered({ type: "pong" }, 1)).toBe(false);
  expect(pings.answered({ type: "ok", ref: sent }, 1)).toBe(false);
  expect(pings.answered({ type: "pong", ref: sent }, 1)).toBe(true);
  expect(pings.answered({ type: "pong", ref: sent }, 2)).toBe(false);
});

test("those without an answer are lost: after a while, and at the end of the connection", () => {
  const pings = new Pings();
  pings.next(0, 0);
  pings.next(0, 9_999);
  expect(pings.lost).toBe(0);
  pings.next(0, 10_000);
  expect(pings.lost).toBe(1);
  pings.forget();
  expect(pings.lost).toBe(3);
  pings.clear();
  expect([pings.lost, pings.points.length, pings.kind]).toEqual([0, 0, undefined]);
});

test("the newest are kept, and summed up", () => {
  const pings = new Pings();
  for (let n = 1; n <= 130; n += 1) pings.answered({ type: "pong", ref: ref(pings.next(n, 0)) }, n);
  expect(pings.points).toHaveLength(120);
  expect(summary(pings.points)).toEqual({ least: 11, median: 71, most: 130 });
  expect(summary([])).toBeUndefined();
});
