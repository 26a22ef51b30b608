import { expect, test } from "vitest";
import { FrameLog, utf8Length, type Frame } from "./frames.ts";

const text = (text: string, size = text.length): Omit<Frame, "n"> => ({ at: 0, direction: "in", opcode: "text", size, text });

test("a log keeps the newest, within its number and its bytes", () => {
  const log = new FrameLog({ frames: 100, bytes: 10_000 });
  for (let n = 1; n <= 101; n += 1) log.add(text(`${n}`, 10));
  expect(log.frames).toHaveLength(90);
  expect(log.frames[0]?.n).toBe(12);
  expect(log.frames.at(-1)?.n).toBe(101);
  expect([log.total, log.dropped]).toEqual([101, 11]);

  log.add(text("large", 9_500));
  expect(log.frames.at(-1)?.text).toBe("large");
  expect(log.frames.reduce((sum, { size }) => sum + size, 0)).toBeLessThanOrEqual(10_000);

  log.add(text("larger than all there may be", 20_000));
  expect(log.frames.map((frame) => frame.text)).toEqual(["larger than all there may be"]);
});

test("after it was cleared its bytes count from nothing, and its numbers go on", () => {
  const log = new FrameLog({ frames: 100, bytes: 1_000 });
  for (let n = 0; n < 9; n += 1) log.add(text("", 100));
  log.clear();
  for (let n = 0; n < 9; n += 1) log.add(text("", 100));
  expect(log.frames.map(({ n }) => n)).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18]);
});

test("bytes of a text are those of its UTF-8", () => {
  for (const sample of ["", "abc", "äß", "€", "👍", "👍🏽 a€", "\ud800", "\ud800a", "a\udc00"]) expect(utf8Length(sample), JSON.stringify(sample)).toBe(new TextEncoder().encode(sample).length);
});
