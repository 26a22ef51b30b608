import { expect, test } from "vitest";
import type { Store } from "../ui/storage.ts";
import { Drafts } from "./drafts.ts";

function store(): Store & { readonly kept: Map<string, string> } {
  const kept = new Map<string, string>();
  return { kept, get: (key) => kept.get(key) ?? null, set: (key, value) => void (value === null ? kept.delete(key) : kept.set(key, value)) };
}

test("what was typed in a room is there after a reload, and goes when it was sent", () => {
  const tab = store();
  const drafts = new Drafts(tab);
  drafts.keep("lobby", "  half a sen");
  drafts.keep("__proto__", "odd, but a room");
  const later = new Drafts(tab);
  expect([later.in("lobby"), later.in("__proto__"), later.in("elsewhere")]).toEqual(["  half a sen", "odd, but a room", ""]);
  later.keep("lobby", "");
  later.keep("__proto__", "");
  expect(tab.kept.size).toBe(0);
});

test("something else in its place is nothing", () => {
  const tab = store();
  for (const odd of ["[1]", "null", "{\"lobby\":7}", "no JSON"]) {
    tab.set("chorus.drafts", odd);
    expect(new Drafts(tab).in("lobby")).toBe("");
  }
});
