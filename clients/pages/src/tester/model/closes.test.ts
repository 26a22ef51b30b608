import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { explain, type Again } from "./closes.ts";

const protocol = readFileSync(new URL("../../../../../docs/PROTOCOL.md", import.meta.url), "utf8");

/** The table of docs/PROTOCOL.md: code, reason, what it says about reconnecting. */
function documented(): readonly (readonly [number, string, string])[] {
  const section = protocol.slice(protocol.indexOf("## Close codes"), protocol.indexOf("## Rooms and users"));
  const rows = section.split("\n").filter((row) => /^\| \d/.test(row));
  return rows.flatMap((row) => {
    const [, codes = "", reasons = "", again = ""] = row.split("|").map((cell) => cell.trim());
    // The two whose reasons stand below the table.
    if (codes === "1002 / 1007") return [[1002, "protocol_violation", again] as const, [1007, "not_utf8", again] as const];
    return [...reasons.matchAll(/`(\w+)`/g)].map(([, reason = ""]) => [Number(codes), reason, again] as const);
  });
}

test("the document's table was found", () => {
  expect(documented().length).toBeGreaterThanOrEqual(19);
  expect(documented()).toContainEqual([1013, "slow_consumer", "yes, with backoff"]);
});

test.each(documented())("%i %s is explained as the document has it: %s", (code, reason, again) => {
  const found = explain({ code, reason, opened: true });
  // The reason says more than the code alone.
  expect(found.meaning).not.toBe(explain({ code, reason: "", opened: true }).meaning);
  expect(found.advice).toMatch(/\.$/);
  const expected: readonly Again[] = again === "no" ? ["no"] : again.includes("new token") ? ["new token"] : /after|backoff/.test(again) ? ["later"] : ["yes"];
  expect(expected).toContain(found.again);
});

test("each code of RFC 6455 has its own words, for any server", () => {
  const codes = [1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 1015];
  const meanings = codes.map((code) => explain({ code, reason: "whatever they say", opened: true }).meaning);
  expect(new Set(meanings).size).toBe(codes.length);
});

test("ranges are told apart", () => {
  const name = (code: number): string => explain({ code, reason: "", opened: true }).name;
  expect([999, 2500, 3999, 4000, 4999].map(name)).toEqual(["not used", "reserved", "of a library", "of the application", "of the application"]);
});

test("a connection that never opened is told apart from one that broke", () => {
  expect(explain({ code: 1006, reason: "", opened: false }).meaning).toMatch(/never opened/);
  expect(explain({ code: 1006, reason: "", opened: true }).meaning).toMatch(/broke/);
});
