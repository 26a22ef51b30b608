import { useSyncExternalStore } from "react";
import type { Session } from "./model/session.ts";

/** Draws anew when the session changed. */
export function useSession(session: Session): void {
  useSyncExternalStore(session.subscribe, () => session.version);
}
