import type { MessageEvent, Position } from "../types.ts";
import { type Amendment, Amendments } from "./amendments.ts";
import type { MessageEntry, Reaction } from "./types.ts";

/** A position as the key of a map, and of an entry. */
export const at = ({ epoch, seq }: Position): string => `${epoch}/${seq}`;

/** A message and what was done to it since. Its entry is made anew only when something is. */
export class Line {
  readonly key: string;
  #event: MessageEvent;
  readonly #amendments = new Amendments();
  #entry: MessageEntry | undefined;

  constructor(key: string, event: MessageEvent) {
    this.key = key;
    this.#event = event;
  }

  get position(): Position {
    return this.#event;
  }

  get entry(): MessageEntry {
    return (this.#entry ??= fold(this.key, this.#event, this.#amendments.all));
  }

  /** Pages and live events bring them in no order between each other, and a page that is read again brings some twice. */
  amend(amendments: readonly Amendment[]): void {
    if (!this.#amendments.add(amendments)) return;
    // A deletion takes the text away, and not only from sight.
    if (amendments.some(deletes) || this.#event.deleted) {
      const { data: _, ...rest } = this.#event;
      this.#event = { ...rest, deleted: true };
      this.#amendments.keep((one) => one.type === "delete");
    }
    this.#entry = undefined;
  }

  /** Takes back what was done after `seq`. False: what is needed for that is gone, and the log has to be asked. */
  undo(seq: number): boolean {
    const undone = this.#amendments.all.filter((one) => one.seq > seq);
    if (!undone.length) return true;
    this.#entry = undefined;
    return this.#amendments.undo(seq) && !undone.some(deletes);
  }

  /** What was done to it from `seq` on. */
  since(seq: number): readonly Amendment[] {
    return this.#amendments.all.filter((one) => one.seq >= seq);
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
