import type { ChorusError, Json, Position } from "../types.ts";

/** What a list shows: a message, or a place where some are missing. In the order of the log; what is not in it yet comes last. */
export type Entry = MessageEntry | GapEntry;

export interface MessageEntry {
  readonly kind: "message";
  /** The same for as long as the entry is there, also when a message that was being sent is there for good: a list's `key`. */
  readonly key: string;
  readonly id?: string;
  /** Where it stands in the log: the target of edits, deletions, reactions and markers. Unset until it is known. */
  readonly position?: Position;
  /** `""` while it is being sent and the server has not said yet who one is. */
  readonly from: string;
  readonly name?: string;
  /** ms since 1970; for show, not for order. */
  readonly at: number;
  /** As of the last edit. Unset when it was deleted. */
  readonly data?: Json;
  readonly edited: boolean;
  readonly deleted: boolean;
  /** In the order in which the keys, and the users of each, came; without those that nobody holds any more. */
  readonly reactions: readonly Reaction[];
  /** `failed`: it was refused and is not in the log. `unknown`: it may be in the log or not, and can't be asked any more. Both wait for `retry` or `discard`. */
  readonly state: "sent" | "sending" | "failed" | "unknown";
  /** Why it is `failed` or `unknown`. */
  readonly error?: ChorusError;
}

export interface Reaction {
  readonly key: string;
  readonly users: readonly string[];
}

/** Between its neighbours there are, or were, messages that this client does not hold. */
export interface GapEntry {
  readonly kind: "gap";
  readonly key: string;
  /** `open`: `fill` brings a page of it, from its lower end. `lost`: nothing can bring it back. */
  readonly state: "open" | "loading" | "lost";
  /** Why the last `fill` brought nothing. */
  readonly error?: ChorusError;
}

export interface TimelineState {
  readonly entries: readonly Entry[];
  /** Whether there is something before the first entry. `loading` also while the room is being joined. */
  readonly older: "more" | "loading" | "none";
  /** Why the last `loadOlder` brought nothing. */
  readonly error?: ChorusError;
}
