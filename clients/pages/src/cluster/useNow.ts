import { useEffect, useState } from "react";

const EVERY_MS = 1_000;

/** The page's own clock (`performance.now()`), anew every second. It stands while the page is not seen. */
export function useNow(): number {
  const [now, setNow] = useState(() => performance.now());
  useEffect(() => {
    const tick = () => {
      if (!document.hidden) setNow(performance.now());
    };
    const timer = setInterval(tick, EVERY_MS);
    document.addEventListener("visibilitychange", tick);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", tick);
    };
  }, []);
  return now;
}
