import { expect, test } from "vitest";
import { bytesText, details, lines, payload, preview } from "./export.ts";
import type { Frame } from "./frames.ts";

const text: Frame = { n: 1, at: Date.UTC(2026, 0, 2, 3, 4, 5, 6), direction: "out", opcode: "text", size: 16, text: '{"type":\n"ping"}', type: "ping" };
const binary: Frame = { n: 2, at: text.at, direction: "in", opcode: "binary", size: 3, text: "", bytes: Uint8Array.of(0, 255, 65) };

test("an export is a line of JSON for each frame, whatever is in it", () => {
  const [first, second, end] = lines([text, binary]).split("\n");
  expect(JSON.parse(first ?? "")).toEqual({ at: "2026-01-02T03:04:05.006Z", direction: "out", opcode: "text", size: 16, text: '{"type":\n"ping"}' });
  expect(JSON.parse(second ?? "")).toEqual({ at: "2026-01-02T03:04:05.006Z", direction: "in", opcode: "binary", size: 3, hex: "00ff41" });
  expect(end).toBe("");
});

test("a row has the beginning in a line, an opened one all of it", () => {
  expect(preview(text)).toBe('{"type": "ping"}');
  expect(preview({ ...text, text: "x".repeat(500) })).toHaveLength(401);
  expect(preview(binary)).toBe("00 ff 41");
  expect(preview({ ...binary, bytes: new Uint8Array(100) })).toMatch(/^(00 ){64}…$/);
  expect(details(text)).toBe('{\n  "type": "ping"\n}');
  expect(details({ ...text, text: "plain" })).toBe("plain");
  expect(details(binary)).toBe("000000  00 ff 41                                         ..A");
  expect(details({ ...binary, bytes: new Uint8Array(5000) })).toMatch(/904 more: copy or export has all$/);
  expect([payload(text), payload(binary)]).toEqual([text.text, "00 ff 41"]);
});

test("sizes are short", () => {
  expect([0, 1023, 1024, 1536, 5 * 1024 * 1024].map(bytesText)).toEqual(["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "5.0 MiB"]);
});
