import { expect, test } from "vitest";
import { Rate } from "./rate.ts";
import { Repeat, plan, type Clock, type Ending } from "./repeat.ts";

/** A clock that is moved by hand; a jump is one late tick. */
function fake(): Clock & { advance(ms: number, step?: number): void } {
  let now = 0;
  const timers = new Set<{ ms: number; due: number; run: () => void }>();
  return {
    now: () => now,
    every: (ms, run) => {
      const timer = { ms, due: now + ms, run };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    advance(ms, step = 1) {
      for (const end = now + ms; now < end; ) {
        now = Math.min(end, now + step);
        for (const timer of timers) {
          if (now < timer.due) continue;
          timer.due = now + timer.ms;
          timer.run();
        }
      }
    },
  };
}

function run(perSecond: number, count?: number, send: (n: number) => boolean = () => true) {
  const clock = fake();
  const sent: number[] = [];
  const endings: Ending[] = [];
  const repeat = new Repeat(
    count === undefined ? { perSecond } : { perSecond, count },
    (n) => {
      const room = send(n);
      if (room) sent.push(n);
      return room;
    },
    (ending) => endings.push(ending),
    clock,
  );
  return { clock, sent, endings, repeat };
}

test("it sends at its rate, the first at once, and ends after its count", () => {
  const { clock, sent, endings } = run(20, 30);
  clock.advance(10);
  expect(sent).toEqual([1]);
  clock.advance(1_000);
  expect(sent).toHaveLength(21);
  expect(endings).toEqual([]);
  clock.advance(1_000);
  expect(sent).toEqual(Array.from({ length: 30 }, (_, index) => index + 1));
  expect(endings).toEqual([{ how: "done" }]);
});

test("rates beyond that of the timer, and below one a second, hold too", () => {
  const fast = run(1_000);
  fast.clock.advance(2_000);
  expect(fast.sent.length).toBeGreaterThan(1_990);
  expect(fast.sent.length).toBeLessThan(2_010);
  const slow = run(0.5);
  slow.clock.advance(4_100);
  expect(slow.sent).toHaveLength(3);
});

test("a timer that comes late makes up for at most a second", () => {
  const { clock, sent } = run(50);
  clock.advance(1_000, 1_000);
  expect(sent).toHaveLength(50);
  clock.advance(60_000, 60_000);
  expect(sent).toHaveLength(100);
});

test("who has no room is asked again with the same, and gets no flood", () => {
  let room = false;
  const { clock, sent } = run(10, undefined, () => room);
  clock.advance(5_000);
  expect(sent).toEqual([]);
  room = true;
  clock.advance(10);
  expect(sent.length).toBeLessThanOrEqual(10);
  expect(sent[0]).toBe(1);
});

test("stopped, it sends no more; what is thrown ends it", () => {
  const stopped = run(10);
  stopped.clock.advance(500);
  const before = stopped.sent.length;
  stopped.repeat.stop();
  stopped.repeat.stop();
  stopped.clock.advance(500);
  expect(stopped.sent).toHaveLength(before);
  expect(stopped.endings).toEqual([{ how: "stopped" }]);

  const error = new Error("no connection");
  const failed = run(10, 5, () => {
    throw error;
  });
  failed.clock.advance(500);
  expect(failed.endings).toEqual([{ how: "failed", error }]);
});

test("what was typed becomes a plan, or is refused in words", () => {
  expect(plan("2.5", "")).toEqual({ perSecond: 2.5 });
  expect(plan("1000", " 10 ")).toEqual({ perSecond: 1000, count: 10 });
  for (const rate of ["", "0", "-1", "1001", "x"]) expect(() => plan(rate, "")).toThrow("at most 1000 a second");
  for (const count of ["0", "1.5", "x"]) expect(() => plan("1", count)).toThrow("whole number");
});

test("a rate is of the last two seconds", () => {
  const rate = new Rate();
  expect(rate.perSecond(0)).toBe(0);
  for (let now = 0; now < 3_000; now += 10) rate.add(now);
  expect(rate.perSecond(3_000)).toBeGreaterThan(95);
  expect(rate.perSecond(3_000)).toBeLessThan(107);
  expect(rate.perSecond(6_000)).toBe(0);
  expect(rate.total).toBe(300);
  const single = new Rate();
  single.add(5);
  expect(single.perSecond(10)).toBe(1);
});
