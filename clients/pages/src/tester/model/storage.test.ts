import { expect, test } from "vitest";
import type { Store } from "../../ui/storage.ts";
import { forgetRequest, saveAddress, savedAddresses, savedRequests, saveRequest } from "./storage.ts";

function memory(): Store {
  const map = new Map<string, string | null>();
  return { get: (key) => map.get(key) ?? null, set: (key, value) => void map.set(key, value) };
}

test("requests are kept by name, replaced and forgotten", () => {
  const store = memory();
  saveRequest(store, { name: "a", text: "1" });
  saveRequest(store, { name: "b", text: "2" });
  expect(saveRequest(store, { name: "a", text: "3" })).toEqual(savedRequests(store));
  expect(savedRequests(store)).toEqual([{ name: "b", text: "2" }, { name: "a", text: "3" }]);
  expect(forgetRequest(store, "b")).toEqual([{ name: "a", text: "3" }]);
  for (let n = 0; n < 150; n += 1) saveRequest(store, { name: `${n}`, text: "" });
  expect(savedRequests(store)).toHaveLength(100);
});

test("addresses are kept without repetition, the newest first, and none that may hold a credential", () => {
  const store = memory();
  for (let n = 0; n < 12; n += 1) saveAddress(store, `ws://host-${n}/`);
  saveAddress(store, "ws://host-5/");
  expect(savedAddresses(store).slice(0, 2)).toEqual(["ws://host-5/", "ws://host-11/"]);
  expect(savedAddresses(store)).toHaveLength(10);
  const before = savedAddresses(store);
  saveAddress(store, "ws://host/ws?token=abc");
  saveAddress(store, "ws://me:secret@host/ws");
  expect(savedAddresses(store)).toEqual(before);
});

test("what is there and is none of ours is no harm", () => {
  const store = memory();
  for (const rubbish of ["{", "{}", "[1,null,{\"name\":1}]"]) {
    store.set("chorus.tester.requests", rubbish);
    expect(savedRequests(store)).toEqual([]);
  }
});
