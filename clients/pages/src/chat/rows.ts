import type { Marker } from "chorus-client";
import type { Entry, MessageEntry } from "chorus-client/timeline";
import { dayName, dayOf } from "./days.ts";

/** What the list shows at one place. */
export interface Row {
  readonly key: string;
  readonly entry: Entry;
  /** A new day begins here: its name. */
  readonly day: string | undefined;
  /** What is unread begins here. */
  readonly news: boolean;
  /** The same person goes on: neither picture nor name again. */
  readonly continued: boolean;
  /** The log begins here. */
  readonly start: boolean;
  /** Who has read up to here and no further. */
  readonly readers: readonly string[];
  /** The server's log does not have it any more: nothing can be done to it. */
  readonly gone: boolean;
}

/** For so long a person's next message belongs to the one before. */
const TOGETHER_MS = 5 * 60_000;

interface About {
  readonly now: number;
  /** The key of the entry that the unread ones begin with. */
  readonly news: string | undefined;
  /** Nothing is before the first entry. */
  readonly complete: boolean;
  /** Nothing was ever said in the log that the room is at now. */
  readonly empty: boolean;
  readonly markers: readonly Marker[];
  readonly me: string | undefined;
}

/** Puts what stands around the entries to them. */
export function rowsOf(entries: readonly Entry[], { now, news, complete, empty, markers, me }: About): readonly Row[] {
  const readers = readersOf(entries, markers, me);
  const edge = edgeOf(entries, empty);
  let last: MessageEntry | undefined;
  let day: string | undefined;
  return entries.map((entry, index): Row => {
    const start = complete && index === 0 && edge < 0;
    const gone = index < edge;
    if (entry.kind === "gap") {
      last = undefined;
      const shown = entry.state === "open" && index <= edge ? ({ kind: "gap", key: entry.key, state: "lost" } as const) : entry;
      return { key: entry.key, entry: shown, day: undefined, news: false, continued: false, start, readers: [], gone };
    }
    const ownDay = dayOf(entry.at);
    const isNews = entry.key === news;
    const isNewDay = ownDay !== day;
    const continued = !isNewDay && !isNews && last !== undefined && last.from === entry.from && Math.abs(entry.at - last.at) < TOGETHER_MS;
    last = entry;
    day = ownDay;
    return { key: entry.key, entry, day: isNewDay ? dayName(entry.at, now) : undefined, news: isNews, continued, start, readers: readers.get(entry.key) ?? [], gone };
  });
}

/**
 * The gap above which nothing is left, -1 without one. A log loses what is oldest: so that is the last gap that can't be filled. It need not be
 * tried where the log begins right behind it, as that of a server does which had the one before in its memory, and was started again.
 */
function edgeOf(entries: readonly Entry[], empty: boolean): number {
  return entries.findLastIndex((entry, index) => {
    if (entry.kind !== "gap") return false;
    const next = entries.slice(index + 1).find((other) => other.kind === "gap" || other.position !== undefined);
    if (next === undefined && empty) return true;
    return entry.state === "lost" || (next?.kind === "message" && next.position?.seq === 1);
  });
}

/** The last message that each marker covers. A marker may stand on an edit, or before all that is held: then it is at no message. */
function readersOf(entries: readonly Entry[], markers: readonly Marker[], me: string | undefined): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const marker of markers) {
    if (marker.user === me) continue;
    for (let index = entries.length - 1; index >= 0; index--) {
      const entry = entries[index];
      if (entry?.kind !== "message" || entry.position?.epoch !== marker.epoch || entry.position.seq > marker.seq) continue;
      // That one reads what one wrote oneself goes without saying.
      if (entry.from !== marker.user) found.set(entry.key, [...(found.get(entry.key) ?? []), marker.user]);
      break;
    }
  }
  return found;
}
