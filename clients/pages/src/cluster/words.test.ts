import { expect, test } from "vitest";
import { EMPTY, take } from "./history.ts";
import { freshness } from "./freshness.ts";
import { standing } from "./standing.ts";
import { bytes, latency, many, perSecond } from "./words.ts";

test("numbers are as exact as they can be read", () => {
  expect([350, 1_234, 45_600, 5_000_000].map(latency)).toEqual(["0.35 ms", "1.2 ms", "46 ms", "5 s"]);
  expect([0, 0.25, 9.96, 12.4, 45_678].map(perSecond)).toEqual(["0", "0.3", "10", "12", "45,678"]);
  expect([31_346_688, 3 * 2 ** 30].map(bytes)).toEqual(["30 MiB", "3.0 GiB"]);
  expect([many(1, "node"), many(2, "node"), many(0, "entry", "entries")]).toEqual(["1 node", "2 nodes", "0 entries"]);
});

test("what is old is said to be old", () => {
  const fine = { at: 1_000, since: 0, now: 2_200, trouble: null, complete: true };
  expect(freshness(fine)).toMatchObject({ tone: "good", text: "Live" });
  expect(freshness({ ...fine, complete: false })).toMatchObject({ tone: "warn" });
  expect(freshness({ ...fine, now: 5_100 })).toMatchObject({ tone: "bad", text: "No answer for 4 s, retrying. What is shown is 4 s old.", short: "No answer, retrying" });
  expect(freshness({ ...fine, since: 60_000, now: 61_000 }), "nobody was asked while the page was hidden").toMatchObject({ tone: "good" });
  expect(freshness({ ...fine, since: 60_000, now: 65_000 }).text).toBe("No answer for 5 s, retrying. What is shown is 1 min 4 s old.");
  expect(freshness({ ...fine, trouble: "nobody answers" })).toMatchObject({ tone: "bad", text: expect.stringContaining("No answer for 1 s, retrying.") });
  expect(freshness({ ...fine, now: 9_000, trouble: "too many calls: slow down" }).text).toContain("No answer for 8 s, retrying (too many calls: slow down)");
});

test("a node's standing is said in words, and for how long", () => {
  const node = {
    id: "a~1",
    silent_ms: 0,
    ...{ name: "a", version: "1", started_at_ms: 0, uptime_ms: 1, connections: 3, users: 1, rooms: 1, members: 1, draining: false },
    bus: { up: true, detail: "", holes_filled: 0, resets: 0, reconnects: 0 },
    ...{ appends: 0, deliveries: 0, slow_readers: 0, slow_closes: 0, hottest: [] },
  };
  const say = (change: object, now = 0) => {
    const [record] = take(EMPTY, { answered_by: "a~1", complete: true, nodes: [{ ...node, ...change }] }, 0).nodes;
    if (!record) throw new Error("it is not there");
    return standing(record, now, 10_000);
  };
  expect(say({})).toEqual({ tone: "good", word: "ready" });
  expect(say({ draining: true, draining_since_ms: 7_000 })).toEqual({ tone: "warn", word: "draining", more: "for 3 s, 3 connections left" });
  expect(say({ bus: { ...node.bus, up: false, detail: "commands are not answered", down_since_ms: 4_000 } })).toEqual({ tone: "bad", word: "bus down", more: "for 6 s: commands are not answered" });
  expect(say({ silent_ms: 5_000 }, 1_000)).toEqual({ tone: "warn", word: "silent", more: "not heard of for 6 s" });
});
