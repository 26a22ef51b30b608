import type { DeleteEvent, EditEvent, MessageEvent, Position, ReactionEvent } from "../types.ts";
import type { MessageEntry, Reaction } from "./types.ts";

export type Amendment = EditEvent | DeleteEvent | ReactionEvent;

/** A position as the key of a map, and of an entry. */
export const at = ({ epoch, seq }: Position): string => `${epoch}/${seq}`;

/** A message and what was done to it since. Its entry is made anew only when something is. */
export class Line {
  readonly key: string;
  #event: MessageEvent;
  #amendments: readonly Amendment[] = [];
  #entry: MessageEntry | undefined;

  constructor(key: string, event: MessageEvent) {
    this.key = key;
    this.#event = event;
  }

  get position(): Position {
    return this.#event;
  }

  get entry(): MessageEntry {
    return (this.#entry ??= fold(this.key, this.#event, this.#amendments));
  }

  /** Pages and live events bring them in no order between each other, and a page that is read again brings some twice. */
  amend(amendments: readonly Amendment[]): void {
    const news = amendments.filter(({ epoch, seq }) => !this.#amendments.some((one) => one.seq === seq && one.epoch === epoch));
    if (!news.length) return;
    this.#amendments = [...this.#amendments, ...news].sort((a, b) => a.seq - b.seq);
    // A deletion takes the text away, and not only from sight.
    if (this.#amendments.some(deletes)) {
      const { data: _, ...rest } = this.#event;
      this.#event = { ...rest, deleted: true };
      this.#amendments = this.#amendments.filter((one) => one.type === "delete");
    }
    this.#entry = undefined;
  }

  /** Takes back what was done after `seq`. False: what is needed for that is gone, and the log has to be asked. */
  undo(seq: number): boolean {
    const kept = this.#amendments.filter((one) => one.seq <= seq);
    if (kept.length === this.#amendments.length) return true;
    const whole = !this.#amendments.some((one) => one.seq > seq && deletes(one));
    this.#amendments = kept;
    this.#entry = undefined;
    return whole;
  }
}

function deletes(one: Amendment): boolean {
  return one.type === "delete" || (one.type === "edit" && one.deleted === true);
}

function fold(key: string, event: MessageEvent, amendments: readonly Amendment[]): MessageEntry {
  const deleted = event.deleted === true;
  let { data } = event;
  let edited = false;
  const reactions = new Map<string, Set<string>>();
  for (const one of deleted ? [] : amendments) {
    if (one.type === "edit") [data, edited] = [one.data, true];
    if (one.type === "reaction") {
      const users = reactions.get(one.key) ?? new Set();
      reactions.set(one.key, users);
      if (one.on) users.add(one.from);
      else users.delete(one.from);
    }
  }
  return {
    kind: "message",
    key,
    ...(event.id !== undefined && { id: event.id }),
    position: { epoch: event.epoch, seq: event.seq },
    from: event.from,
    ...(event.name !== undefined && { name: event.name }),
    at: event.at,
    ...(!deleted && data !== undefined && { data }),
    edited,
    deleted,
    reactions: [...reactions].flatMap(([key, users]): Reaction[] => (users.size ? [{ key, users: [...users] }] : [])),
    state: "sent",
  };
}
