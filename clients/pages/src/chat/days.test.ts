import { expect, test } from "vitest";
import { dayName, dayOf } from "./days.ts";

const noon = new Date(2026, 10, 26, 12).getTime();
const day = (year: number, month: number, date: number, hour = 0) => new Date(year, month - 1, date, hour).getTime();

test("a day begins at midnight of the reader", () => {
  expect(dayOf(day(2026, 11, 26, 0))).toBe(dayOf(day(2026, 11, 26, 23)));
  expect(dayOf(day(2026, 11, 26, 0))).not.toBe(dayOf(day(2026, 11, 26, 0) - 1));
});

test.each([
  [day(2026, 11, 26), "Today"],
  [day(2026, 11, 26, 23), "Today"],
  [day(2026, 11, 26) - 1, "Yesterday"],
  [day(2026, 11, 25), "Yesterday"],
  [day(2026, 11, 24, 23), "Tuesday, November 24"],
  [day(2025, 12, 31), "Wednesday, December 31, 2025"],
])("%d is called %s", (at, name) => {
  expect(dayName(at, noon)).toBe(name);
});

test("yesterday crosses the end of a year", () => {
  expect(dayName(day(2025, 12, 31, 20), day(2026, 1, 1, 8))).toBe("Yesterday");
});
