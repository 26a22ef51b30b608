import { useEffect, useReducer, useSyncExternalStore } from "react";
import type { Session } from "./model/session.ts";

/** Draws anew when the session changed. */
export function useSession(session: Session): void {
  useSyncExternalStore(session.subscribe, () => session.version);
}

/** Draws anew every so many ms, for what changes by time alone. */
export function useBeat(ms: number, on: boolean): void {
  const [, beat] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    if (!on) return;
    const timer = setInterval(beat, ms);
    return () => clearInterval(timer);
  }, [ms, on]);
}
