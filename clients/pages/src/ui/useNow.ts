import { useEffect, useState } from "react";

/** ms since the page began: a clock that nobody sets. */
export const sinceStart = (): number => performance.now();

/** What `clock` says, anew every `everyMs` while `on`, and when that begins. It stands while the page is not seen. `clock` is the same function each time. */
export function useNow(everyMs: number, on = true, clock: () => number = Date.now): number {
  const [read, setRead] = useState(() => ({ on, now: clock() }));
  // Before it is drawn: what was shown last may be of long ago.
  if (read.on !== on) setRead({ on, now: clock() });
  useEffect(() => {
    if (!on) return;
    const tick = () => document.hidden || setRead({ on, now: clock() });
    const timer = setInterval(tick, everyMs);
    document.addEventListener("visibilitychange", tick);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", tick);
    };
  }, [everyMs, on, clock]);
  return read.now;
}
