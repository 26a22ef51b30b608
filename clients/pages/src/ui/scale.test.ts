import { expect, test } from "vitest";
import { short, ticks } from "./scale.ts";

test("ticks are round, begin at zero and reach over the top", () => {
  expect(ticks(1)).toEqual([0, 0.5, 1]);
  expect(ticks(3)).toEqual([0, 1, 2, 3]);
  expect(ticks(7.3)).toEqual([0, 2, 4, 6, 8]);
  expect(ticks(950)).toEqual([0, 500, 1000]);
  for (let top = 1; top < 3_000; top += 7) {
    const marks = ticks(top);
    expect(marks.at(-1)).toBeGreaterThanOrEqual(top);
    expect(marks.length).toBeGreaterThanOrEqual(3);
    expect(marks.length).toBeLessThanOrEqual(6);
  }
});

test("nothing to show has a scale all the same", () => {
  for (const top of [0, -1, NaN, Infinity]) expect(ticks(top)).toEqual([0, 1]);
});

test("numbers are short", () => {
  expect([0, 0.123, 7, 950, 1_200, 45_600, 999_000, 3_400_000, 2e9].map(short)).toEqual(["0", "0.12", "7", "950", "1.2k", "46k", "999k", "3.4M", "2G"]);
});
