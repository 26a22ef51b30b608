import { useCallback, useEffect, useState, useSyncExternalStore } from "react";

/** Something that changes and says so, such as the client's observables. */
interface Source<T> {
  readonly value: T;
  subscribe(listener: () => void): () => void;
}

/** The value as it is now, and again at each change. `fallback`, the same object each time, while there is no source. */
export function useObservable<T>(source: Source<T> | undefined, fallback: T): T {
  const subscribe = useCallback((listener: () => void) => source?.subscribe(listener) ?? (() => {}), [source]);
  return useSyncExternalStore(subscribe, () => source?.value ?? fallback);
}

/** The time, in ms since 1970, made anew every `everyMs` while `on`, and when that begins. */
export function useNow(everyMs: number, on = true): number {
  const [clock, setClock] = useState(() => ({ on, now: Date.now() }));
  // Before it is drawn: what was shown last may be of long ago.
  if (clock.on !== on) setClock({ on, now: Date.now() });
  useEffect(() => {
    if (!on) return;
    const timer = setInterval(() => setClock({ on, now: Date.now() }), everyMs);
    return () => clearInterval(timer);
  }, [everyMs, on]);
  return clock.now;
}
