import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { REQUESTS, fill, kindOf, uuid, type Values } from "./requests.ts";

const values: Values = { n: 7, token: "a.b.c", room: "den", position: { epoch: "e1", seq: 42 }, uuid: () => "u-1", now: () => 123 };

test.each(REQUESTS)("$name is JSON once it is filled", ({ text }) => {
  const request = JSON.parse(fill(text, values)) as { type: string; ref: unknown };
  expect(request.ref).toBe(7);
  expect(fill(text, values)).not.toContain("{{");
});

test("there is one for each request of docs/PROTOCOL.md", () => {
  const protocol = readFileSync(new URL("../../../../../docs/PROTOCOL.md", import.meta.url), "utf8");
  const section = protocol.slice(protocol.indexOf("## Client to server"), protocol.indexOf("## Server to client"));
  const documented = [...section.matchAll(/^\| `(\w+)` \|/gm)].map(([, type]) => type);
  const ours = REQUESTS.map(({ text }) => (JSON.parse(fill(text, values)) as { type: string }).type);
  expect(documented.length).toBeGreaterThanOrEqual(12);
  expect(new Set(ours)).toEqual(new Set(documented));
});

test("placeholders are filled wherever they stand, others stay", () => {
  expect(fill("{{n}}-{{n}} {{uuid}} {{time}} {{room}} {{token}} {{epoch}}/{{seq}} {{other}} {n}", values)).toBe("7-7 u-1 123 den a.b.c e1/42 {{other}} {n}");
  // What is filled in is not looked at again.
  expect(fill("{{token}}", { ...values, token: "{{n}}" })).toBe("{{n}}");
});

test("what is missing is said", () => {
  expect(() => fill("{{token}}", { ...values, token: "" })).toThrow("no token yet");
  expect(() => fill("{{seq}}", { ...values, position: undefined })).toThrow("no message has come yet");
  expect(() => fill("{{room}}", { ...values, room: "" })).toThrow("enter a room");
  expect(fill("{{n}}", { ...values, token: "", position: undefined })).toBe("7");
});

test("ids are UUIDs of version 4, each another", () => {
  const made = Array.from({ length: 100 }, uuid);
  for (const id of made) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(new Set(made).size).toBe(100);
});

test.each([
  ['{"ref": {{n}}, "at": {"seq": {{seq}}}}', "JSON"],
  ['{"ref": {{n}}', "broken JSON"],
  [" [1,", "broken JSON"],
  ["hello {{uuid}}", "text"],
  ["{{n}}", "JSON"],
  ["", "text"],
] as const)("%j is %s", (text, kind) => {
  expect(kindOf(text)).toBe(kind);
});
