/** Who is in a room. */
import { cell, type Cell } from "./observable.ts";
import type { Member, Presence } from "./types.ts";
import type { Frame } from "./wire.ts";

export interface Company {
  readonly presence: Cell<Presence>;
  /** A `presence` frame: what has changed. */
  changed(frame: Frame): void;
  /** What a join or a question was answered: who is there now. Without `members` after a join it has to be asked. */
  told(members: readonly Member[] | undefined, count?: number): void;
}

/** `ask` asks who is there; its answer comes by `told`. */
export function company(ask: () => void): Company {
  const presence = cell<Presence>({ count: 0 });

  const told: Company["told"] = (members, count = members?.length) => {
    if (count === undefined) ask();
    else presence.set(members ? { count, members } : { count });
  };

  return {
    presence,
    told,
    changed({ joined, left, count = 0 }) {
      const { members } = presence.value;
      if (!joined || !left) return presence.set({ count });
      // The room has become small enough to be listed.
      if (!members) return ask();
      const gone = new Set([...left, ...joined].map(({ user }) => user));
      told([...members.filter(({ user }) => !gone.has(user)), ...joined], count);
      if (presence.value.members?.length !== count) ask();
    },
  };
}
