import { expect, test } from "vitest";
import { span } from "./span.ts";

test("spans have two units at most", () => {
  const [second, minute, hour, day] = [1_000, 60_000, 3_600_000, 86_400_000];
  expect([0, 12 * second, 61 * second, 9 * minute, 10 * minute + 5_000, 2 * hour + 5 * minute, day, 3 * day + 4 * hour, -5].map(span)).toEqual([
    "0 s",
    "12 s",
    "1 min 1 s",
    "9 min",
    "10 min",
    "2 h 5 min",
    "1 d",
    "3 d 4 h",
    "0 s",
  ]);
});
