/** Sends at a rate. What a timer misses (a tab in the background, a busy machine) is made up for, within a bound. */

export interface Clock {
  readonly now: () => number;
  readonly every: (ms: number, run: () => void) => () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  every: (ms, run) => {
    const timer = setInterval(run, ms);
    return () => clearInterval(timer);
  },
};

export interface Plan {
  readonly perSecond: number;
  /** Without a count it goes on until it is stopped. */
  readonly count?: number;
}

export const MOST_PER_SECOND = 1000;
const TICK = 10;
/** A tick never sends more than so many: the page must stay alive. */
const MOST_AT_ONCE = 100;

/** What may be sent of text that was typed; throws what to mend. */
export function plan(perSecond: string, count: string): Plan {
  const rate = Number(perSecond);
  if (!(rate > 0 && rate <= MOST_PER_SECOND)) throw new Error(`the rate is more than 0 and at most ${MOST_PER_SECOND} a second`);
  if (count.trim() === "") return { perSecond: rate };
  const times = Number(count);
  if (!Number.isInteger(times) || times < 1) throw new Error("the count is a whole number from 1 on, or empty for no end");
  return { perSecond: rate, count: times };
}

export type Ending = { readonly how: "done" | "stopped" } | { readonly how: "failed"; readonly error: unknown };

export class Repeat {
  readonly plan: Plan;
  readonly #send: (n: number) => boolean;
  readonly #ended: (ending: Ending) => void;
  readonly #clock: Clock;
  #stopTicking: (() => void) | undefined;
  /** How many may go out now, with a fraction. The first goes at once. */
  #due = 1;
  #last: number;
  #sent = 0;

  /** `send` is given what is to be sent, from 1 on, and says whether there was room for it; if not, it is asked again. What it throws ends the run. */
  constructor(plan: Plan, send: (n: number) => boolean, ended: (ending: Ending) => void, clock: Clock = systemClock) {
    this.plan = plan;
    this.#send = send;
    this.#ended = ended;
    this.#clock = clock;
    this.#last = clock.now();
    this.#stopTicking = clock.every(TICK, () => this.#tick());
  }

  get sent(): number {
    return this.#sent;
  }

  stop(): void {
    this.#end({ how: "stopped" });
  }

  #tick(): void {
    const { perSecond, count = Infinity } = this.plan;
    const now = this.#clock.now();
    // Not more than a second is made up for: who could not take it in time gets no flood afterwards.
    this.#due = Math.min(this.#due + ((now - this.#last) * perSecond) / 1000, Math.max(1, perSecond));
    this.#last = now;
    for (let room = MOST_AT_ONCE; room > 0 && this.#due >= 1 && this.#sent < count; room -= 1) {
      try {
        if (!this.#send(this.#sent + 1)) return;
      } catch (error) {
        this.#end({ how: "failed", error });
        return;
      }
      // What was sent may have ended the run.
      if (!this.#stopTicking) return;
      this.#sent += 1;
      this.#due -= 1;
    }
    if (this.#sent === count) this.#end({ how: "done" });
  }

  #end(ending: Ending): void {
    if (!this.#stopTicking) return;
    this.#stopTicking();
    this.#stopTicking = undefined;
    this.#ended(ending);
  }
}
