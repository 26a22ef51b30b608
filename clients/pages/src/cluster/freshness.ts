import { span } from "../ui/span.ts";
import type { Tone } from "../ui/Badge.tsx";

/** Past this without an answer what is shown is old: an answer a second is usual. */
const STALE_MS = 3_500;

interface Question {
  /** When the last answer came, in ms. */
  readonly at: number;
  /** Since when the gateway is asked without a pause, in ms: not while the page was hidden. */
  readonly since: number;
  readonly now: number;
  /** Why the last call brought nothing. */
  readonly trouble: string | null;
  readonly complete: boolean;
}

/** How fresh what is shown is, in words; `short` leaves out what changes every second, and is read out. */
export function freshness({ at, since, now, trouble, complete }: Question): { readonly tone: Tone; readonly text: string; readonly short: string } {
  const age = now - Math.max(at, since);
  if (trouble !== null || age > STALE_MS) {
    const why = trouble === null || trouble === "nobody answers" ? "" : ` (${trouble})`;
    return { tone: "bad", text: `No answer for ${span(Math.max(age, 1_000))}, retrying${why}. What is shown is ${span(now - at)} old.`, short: "No answer, retrying" };
  }
  if (!complete) {
    const short = "Redis can't be reached";
    return { tone: "warn", text: `${short}: the node that answers knows of nobody but itself. The others are shown as they were last seen.`, short };
  }
  return { tone: "good", text: "Live", short: "Live" };
}
