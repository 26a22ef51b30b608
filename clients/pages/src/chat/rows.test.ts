import { expect, test } from "vitest";
import type { MessageEntry } from "chorus-client/timeline";
import { rowsOf } from "./rows.ts";

const noon = new Date(2026, 10, 26, 12).getTime();
const minute = 60_000;

const message = (seq: number, at: number, from = "tom"): MessageEntry => ({
  kind: "message",
  key: `a/${seq}`,
  position: { epoch: "a", seq },
  from,
  at,
  edited: false,
  deleted: false,
  reactions: [],
  state: "sent",
});
const about = { now: noon, news: undefined, complete: true, empty: false, markers: [], me: "anna" };
const rows = (entries: Parameters<typeof rowsOf>[0], more: Partial<Parameters<typeof rowsOf>[1]> = {}) => rowsOf(entries, { ...about, ...more });

test("each day has its name above its first message", () => {
  const day = 24 * 60 * minute;
  const entries = [message(1, noon - day), message(2, noon - day + minute), message(3, noon), message(4, noon + minute)];
  expect(rows(entries).map((row) => row.day)).toEqual(["Yesterday", undefined, "Today", undefined]);
});

test("a person who goes on within five minutes is not named again", () => {
  const entries = [message(1, noon), message(2, noon + minute), message(3, noon + 2 * minute, "eva"), message(4, noon + 9 * minute, "eva")];
  expect(rows(entries).map((row) => row.continued)).toEqual([false, true, false, false]);
});

test("after the line above the news, and after a gap, a person is named again", () => {
  const entries = [message(1, noon), message(2, noon), { kind: "gap", key: "gap", state: "lost" } as const, message(3, noon)];
  expect(rows(entries, { news: "a/2" }).map((row) => [row.news, row.continued])).toEqual([
    [false, false],
    [true, false],
    [false, false],
    [false, false],
  ]);
});

test("the beginning is said once it is there", () => {
  expect(rows([message(1, noon), message(2, noon)]).map((row) => row.start)).toEqual([true, false]);
  expect(rows([message(1, noon)], { complete: false })[0]?.start).toBe(false);
});

test("who has read stands at the last message that the marker covers", () => {
  const entries = [message(1, noon), message(2, noon, "anna"), message(5, noon)];
  const at = (user: string, seq: number, epoch = "a") => ({ user, epoch, seq });
  const markers = [at("eva", 2), at("ben", 4), at("anna", 5), at("tom", 5), at("ida", 0), at("kai", 3, "b")];
  expect(rows(entries, { markers }).map((row) => row.readers)).toEqual([[], ["eva", "ben"], []]);
});

test("what is above a gap that can't be filled is gone, and the gap is known to be one where the log begins behind it", () => {
  const gap = (key: string, state: "open" | "lost" = "open") => ({ kind: "gap", key, state }) as const;
  const shown = (entries: Parameters<typeof rowsOf>[0], empty = false) => rows(entries, { empty }).map(({ entry, gone, start }) => [entry.kind === "gap" ? entry.state : "said", gone, start]);
  const said = message(7, noon);
  expect(shown([said, gap("one"), message(50, noon)])).toEqual([["said", false, true], ["open", false, false], ["said", false, false]]);
  const lost = [["said", true, false], ["lost", false, false], ["said", false, false]];
  expect(shown([said, gap("one", "lost"), message(50, noon)])).toEqual(lost);
  expect(shown([said, gap("one"), message(1, noon)])).toEqual(lost);
  expect(shown([said, gap("one"), said, gap("two"), message(1, noon)])).toEqual([["said", true, false], ["lost", true, false], ...lost]);
  // Nothing was said since; what is being sent is in no log yet.
  const { position: _, ...sending } = message(0, noon);
  expect(shown([said, gap("one"), sending], true)).toEqual(lost);
  expect(shown([said, gap("one"), sending])).toEqual([["said", false, true], ["open", false, false], ["said", false, false]]);
});
