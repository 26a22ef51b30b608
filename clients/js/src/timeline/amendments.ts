import type { DeleteEvent, EditEvent, ReactionEvent } from "../types.ts";

export type Amendment = EditEvent | DeleteEvent | ReactionEvent;

/** What was done to a message: of what one user did with one key, and of edits, the last. So it does not grow with how often somebody changes their mind. */
export class Amendments {
  #all: readonly Amendment[] = [];
  /** The highest number of what took something's place: how it was before that, nobody knows any more. */
  #replaced = 0;

  /** In the order of the log. */
  get all(): readonly Amendment[] {
    return this.#all;
  }

  /** In no order, and some perhaps again. Answers whether anything is new. */
  add(more: readonly Amendment[]): boolean {
    const last = new Map<string, Amendment>();
    for (const one of [...this.#all, ...more].sort(byNumber)) {
      const slot = one.type === "reaction" ? JSON.stringify([one.from, one.key]) : one.type;
      const before = last.get(slot);
      // Whoever says the same again keeps the place that they have.
      if (one.type === "reaction" && before?.type === "reaction" && before.on === one.on) continue;
      if (before && before.seq < one.seq) this.#replaced = Math.max(this.#replaced, one.seq);
      last.set(slot, one);
    }
    const all = [...last.values()].sort(byNumber);
    const same = all.length === this.#all.length && all.every(({ epoch, seq }, index) => this.#all[index]?.seq === seq && this.#all[index].epoch === epoch);
    if (!same) this.#all = all;
    return !same;
  }

  keep(test: (one: Amendment) => boolean): void {
    this.#all = this.#all.filter(test);
  }

  /** Takes back what was done after `seq`. False: what it had taken the place of is gone. */
  undo(seq: number): boolean {
    this.keep((one) => one.seq <= seq);
    return this.#replaced <= seq;
  }
}

function byNumber(a: Amendment, b: Amendment): number {
  return a.seq - b.seq;
}
