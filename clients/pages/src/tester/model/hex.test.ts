import { expect, test } from "vitest";
import { bytesOf, dump, hexOf } from "./hex.ts";

test.each(["00 ff 10", "00ff10", "0x00 0xFF 0x10", "00:ff:10", "00,ff,\n10", "00-FF-10"])("%j are three bytes", (hex) => {
  expect([...bytesOf(hex)]).toEqual([0, 255, 16]);
});

test("what is no hexadecimal is said", () => {
  expect(() => bytesOf("0g")).toThrow("“g” is no hexadecimal digit");
  expect(() => bytesOf("abc")).toThrow("two hexadecimal digits");
  expect(bytesOf("")).toHaveLength(0);
});

test("bytes are shown as digits, and in rows", () => {
  expect(hexOf(Uint8Array.of(0, 1, 255))).toBe("00 01 ff");
  expect(hexOf(Uint8Array.of(0x12, 0xab), "")).toBe("12ab");
  expect([hexOf(Uint8Array.of()), hexOf(Uint8Array.of(), "")]).toEqual(["", ""]);
  expect(hexOf(new Uint8Array(4_000_000), "")).toHaveLength(8_000_000);
  const rows = dump(new TextEncoder().encode("Hello, WebSocket\n!")).split("\n");
  expect(rows).toEqual(["000000  48 65 6c 6c 6f 2c 20 57 65 62 53 6f 63 6b 65 74  Hello, WebSocket", "000010  0a 21                                            .!"]);
});
