import { expect, test } from "vitest";
import { surplus, USUAL_BYTES } from "./sizes.ts";

test("a text is too long by the letters that have to go", () => {
  // `{"text":""}` takes eleven bytes.
  const room = USUAL_BYTES - 11;
  for (const [letter, bytes] of [["a", 1], ["é", 2], ["\n", 2], ["漢", 3], ["😀", 4], ["\u0001", 6]] as const) {
    const fits = Math.floor(room / bytes);
    expect([fits, fits + 1, fits + 700].map((count) => surplus(letter.repeat(count), USUAL_BYTES)), letter).toEqual([0, 1, 700]);
  }
  expect(surplus(`${"a".repeat(room)}😀`, USUAL_BYTES)).toBe(1);
  expect(surplus("", USUAL_BYTES)).toBe(0);
});
