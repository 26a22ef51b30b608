import { expect, test } from "vitest";
import { FrameLog, type Frame } from "./frames.ts";
import { EVERYTHING, View, matcher, type Filter } from "./view.ts";

const frame = (over: Partial<Frame>): Frame => ({ n: 1, at: 0, direction: "in", opcode: "text", size: 0, text: "", ...over });
const matches = (filter: Partial<Filter>, over: Partial<Frame>): boolean => matcher({ ...EVERYTHING, ...filter })(frame(over));

test.each<[Partial<Filter>, Partial<Frame>, boolean]>([
  [{}, {}, true],
  [{ direction: "out" }, { direction: "in" }, false],
  [{ direction: "out" }, { direction: "out" }, true],
  [{ direction: "note" }, { direction: "note", opcode: "note" }, true],
  [{ kind: "binary" }, { opcode: "text" }, false],
  [{ kind: "text" }, { opcode: "text" }, true],
  [{ kind: "type:message" }, { type: "message" }, true],
  [{ kind: "type:message" }, { type: "ok" }, false],
  [{ kind: "type:text" }, {}, false],
  [{ search: " HELLO " }, { text: "say hello" }, true],
  [{ search: "bye" }, { text: "say hello" }, false],
  [{ search: "de AD" }, { opcode: "binary", bytes: Uint8Array.of(0, 0xde, 0xad) }, true],
  [{ search: "hello" }, { opcode: "binary", bytes: Uint8Array.of(1) }, false],
  [{ hidePings: true }, { ping: true }, false],
  [{ hidePings: true }, { type: "ping" }, true],
])("filter %j on %j: %s", (filter, over, expected) => {
  expect(matches(filter, over)).toBe(expected);
});

function follow(bounds = { frames: 100, bytes: 1_000_000 }) {
  const log = new FrameLog(bounds);
  const view = new View(log);
  const add = (...texts: string[]): void => {
    for (const text of texts) log.add(frame({ text }));
    view.update();
  };
  const shown = (): string[] => view.shown.map(({ text }) => text);
  return { log, view, add, shown };
}

test("a paused view stands still and says how many it holds; then it shows them", () => {
  const { view, add, shown } = follow();
  add("a", "b");
  view.pause(true);
  add("c", "d");
  expect(shown()).toEqual(["a", "b"]);
  expect(view.held).toBe(2);
  // What is held is not let out by another filter.
  view.setFilter({ ...EVERYTHING, search: "d" });
  expect(shown()).toEqual([]);
  view.setFilter(EVERYTHING);
  expect(shown()).toEqual(["a", "b"]);
  view.pause(false);
  expect(shown()).toEqual(["a", "b", "c", "d"]);
  expect(view.held).toBe(0);
});

test("a filter holds for what is there and for what comes", () => {
  const { view, add, shown } = follow();
  add("one", "two", "one more");
  view.setFilter({ ...EVERYTHING, search: "one" });
  add("three", "another one");
  expect(shown()).toEqual(["one", "one more", "another one"]);
  view.setFilter(EVERYTHING);
  expect(shown()).toEqual(["one", "two", "one more", "three", "another one"]);
});

test("what the log drops is not shown any more", () => {
  const { log, add, shown } = follow({ frames: 10, bytes: 1_000 });
  for (let n = 1; n <= 25; n += 1) add(String(n));
  expect(shown()).toEqual(log.frames.map(({ text }) => text));
  expect(shown().at(-1)).toBe("25");
  expect(shown().length).toBeLessThanOrEqual(10);
});

test("a burst larger than the log leaves its end", () => {
  const { add, shown } = follow({ frames: 10, bytes: 1_000 });
  add(...Array.from({ length: 95 }, (_, n) => String(n)));
  expect(shown().at(-1)).toBe("94");
  expect(shown().length).toBeLessThanOrEqual(10);
});

test("cleared, it shows only what comes later, also when it was paused", () => {
  const { log, view, add, shown } = follow();
  add("a");
  view.pause(true);
  add("b");
  log.clear();
  view.clear();
  expect([shown(), view.held]).toEqual([[], 0]);
  add("c");
  expect(view.held).toBe(1);
  view.pause(false);
  expect(shown()).toEqual(["c"]);
});

test("what was handed out does not change under its holder", () => {
  const { view, add } = follow();
  add("a");
  const before = view.shown;
  add("b");
  expect(before).toHaveLength(1);
  expect(view.shown).not.toBe(before);
});
