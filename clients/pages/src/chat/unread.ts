import type { Position } from "chorus-client";
import type { Entry } from "chorus-client/timeline";

interface Unread {
  /** Messages of others that came after what was seen. */
  readonly count: number;
  /** The key of the first of them. */
  readonly first: string | undefined;
}

const NONE: Unread = { count: 0, first: undefined };

/**
 * What of `entries` came after `seen`. Numbers of two logs can't be compared: what is of another log than `seen` came later, for a log
 * that is gone does not come back.
 */
export function unread(entries: readonly Entry[], seen: Position | undefined, me: string | undefined): Unread {
  if (!seen) return NONE;
  let { count, first } = NONE;
  for (let index = entries.length - 1; index >= 0; index--) {
    const entry = entries[index];
    if (entry?.kind !== "message" || !entry.position) continue;
    if (isSeen(entry.position, seen)) break;
    // Whoever writes has read what was before.
    if (entry.from === me) break;
    if (entry.deleted) continue;
    count++;
    first = entry.key;
  }
  return { count, first };
}

/** The later of two places that one has seen. */
export function later(one: Position | undefined, other: Position | undefined): Position | undefined {
  if (!one || !other) return one ?? other;
  return one.epoch === other.epoch && other.seq < one.seq ? one : other;
}

/** The last place in the log that is there to be seen. */
export function lastPosition(entries: readonly Entry[]): Position | undefined {
  const last = entries.findLast((entry) => entry.kind === "message" && entry.position !== undefined);
  return last?.kind === "message" ? last.position : undefined;
}

function isSeen(position: Position, seen: Position): boolean {
  return position.epoch === seen.epoch && position.seq <= seen.seq;
}
