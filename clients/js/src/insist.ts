/** Requests that may be made as often as it takes. */
import { backoff } from "./backoff.ts";
import { passes } from "./codes.ts";
import { ChorusError } from "./errors.ts";
import type { Frame, Request, Wire } from "./wire.ts";

/** How long to wait, in ms, before what came to nothing so many times before is asked again; who is too fast is slowed down in all. */
export function pauseAfter(wire: Wire, answer: Frame | undefined, failures: number): number {
  const wait = Math.max(answer?.retry_after_ms ?? 0, backoff(failures));
  if (answer?.code === "rate_limited") wire.hold(wait);
  return wait;
}

/**
 * Asks until there is an answer that counts, and gives that to `done`: what passes by itself, a lost connection among it, is asked again.
 * `make` says what to ask, and gives nothing when it is not wanted any more. `refused` is told what passes.
 */
export function insist(wire: Wire, make: () => Request | undefined, done: (answer: Frame) => void, refused?: (answer: Frame) => void): void {
  let failures = 0;
  const ask = () => {
    if (!make()) return;
    wire.ask(make, (answer) => {
      if (!make()) return;
      if (answer && !passes(answer)) return done(answer);
      setTimeout(ask, pauseAfter(wire, answer, failures++));
      if (answer) refused?.(answer);
    });
  };
  ask();
}

/** What `ask` brings within so many ms, or a `timeout`. It is told whether that is still wanted. */
export async function inTime<T>(ms: number, ask: (isWanted: () => unknown) => T | Promise<T>): Promise<T> {
  let late: ReturnType<typeof setTimeout> | undefined;
  try {
    const never = new Promise<never>((_, reject) => (late = setTimeout(reject, ms, new ChorusError("timeout", "no answer in time"))));
    return await Promise.race([never, ask(() => late)]);
  } finally {
    clearTimeout(late);
    late = undefined;
  }
}
