import { expect, test } from "vitest";
import { guarded, jsonIn } from "./storage.ts";

function storage() {
  const kept = new Map<string, string>();
  return {
    kept,
    full: false,
    getItem: (key: string) => kept.get(key) ?? null,
    setItem(key: string, value: string) {
      if (this.full) throw new DOMException("full", "QuotaExceededError");
      kept.set(key, value);
    },
    removeItem: (key: string) => void kept.delete(key),
  };
}

test("what is set is kept, and what is forgotten is gone", () => {
  const under = storage();
  const store = guarded(() => under);
  store.set("a", "1");
  expect([store.get("a"), store.get("b"), [...under.kept]]).toEqual(["1", null, [["a", "1"]]]);
  store.set("a", null);
  expect([store.get("a"), under.kept.size]).toEqual([null, 0]);
});

test("what can't be kept lasts as long as the page, and longer as soon as there is room", () => {
  const under = storage();
  const store = guarded(() => under);
  store.set("a", "old");
  under.full = true;
  store.set("a", "new");
  expect(store.get("a")).toBe("new");
  under.full = false;
  store.set("a", "newer");
  expect([store.get("a"), under.kept.get("a")]).toEqual(["newer", "newer"]);

  const forbidden = guarded(() => {
    throw new DOMException("no", "SecurityError");
  });
  expect(forbidden.get("a")).toBeNull();
  forbidden.set("a", "1");
  expect(forbidden.get("a")).toBe("1");
  forbidden.set("a", null);
  expect(forbidden.get("a")).toBeNull();
});

test("JSON is read, and what is none is nothing", () => {
  const store = guarded(storage);
  expect(jsonIn(store, "a")).toBeUndefined();
  const under = storage();
  const other = guarded(() => under);
  other.set("a", '{"b":[1]}');
  expect(jsonIn(other, "a")).toEqual({ b: [1] });
  other.set("a", "{");
  expect(jsonIn(other, "a")).toBeUndefined();
});
