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
}

/** For so long a person's next message belongs to the one before. */
const TOGETHER_MS = 5 * 60_000;

interface About {
  readonly now: number;
  /** The key of the entry that the unread ones begin with. */
  readonly news: string | undefined;
  /** Nothing is before the first entry. */
  readonly complete: boolean;
  readonly markers: readonly Marker[];
  readonly me: string | undefined;
}

/** Puts what stands around the entries to them. */
export function rowsOf(entries: readonly Entry[], { now, news, complete, markers, me }: About): readonly Row[] {
  const readers = readersOf(entries, markers, me);
  let last: MessageEntry | undefined;
  let day: string | undefined;
  return entries.map((entry, index): Row => {
    const start = complete && index === 0;
    if (entry.kind === "gap") {
      last = undefined;
      return { key: entry.key, entry, day: undefined, news: false, continued: false, start, readers: [] };
    }
    const ownDay = dayOf(entry.at);
    const isNews = entry.key === news;
    const isNewDay = ownDay !== day;
    const continued = !isNewDay && !isNews && last !== undefined && last.from === entry.from && Math.abs(entry.at - last.at) < TOGETHER_MS;
    last = entry;
    day = ownDay;
    return { key: entry.key, entry, day: isNewDay ? dayName(entry.at, now) : undefined, news: isNews, continued, start, readers: readers.get(entry.key) ?? [] };
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
