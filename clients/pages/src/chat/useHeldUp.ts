import { useEffect, useState } from "react";
import type { Entry } from "chorus-client/timeline";

/** In ms. What takes no longer than this needs no word. */
const HELD_UP_MS = 3_000;

/**
 * How many messages wait although there is a connection; 0 as long as they go through. They are sent one at a time: when the first has
 * not moved for a while, the server takes none, as when it has lost its Redis.
 */
export function useHeldUp(entries: readonly Entry[], isJoined: boolean): number {
  const [held, setHeld] = useState(false);
  const sending = entries.filter((entry) => entry.kind === "message" && entry.state === "sending");
  const first = isJoined ? sending[0]?.key : undefined;
  useEffect(() => {
    if (first === undefined) return;
    const timer = setTimeout(() => setHeld(true), HELD_UP_MS);
    return () => {
      clearTimeout(timer);
      setHeld(false);
    };
  }, [first]);
  return held && first !== undefined ? sending.length : 0;
}
