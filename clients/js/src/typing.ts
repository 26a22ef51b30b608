/** Who types in a room, and that oneself does. */
import { cell, type Cell } from "./observable.ts";

/** The others are told at most so often… */
const EVERY_MS = 3_000;
/** …and forget it by themselves. */
const LASTS_MS = 6_000;

export interface Typing {
  /** The others. */
  readonly typists: Cell<readonly string[]>;
  /** A frame, or a message, told it. */
  heard(user: string, on: boolean): void;
  /** This user types, or not any more. */
  type(on: boolean): void;
  /** What was typed was sent: the message itself tells the others. */
  sent(): void;
  /** Nothing is known any more. */
  forget(): void;
}

export function typing(say: (on: boolean) => void): Typing {
  const typists = cell<readonly string[]>([]);
  const ends = new Map<string, ReturnType<typeof setTimeout>>();
  let saidAt = 0;
  let pause: ReturnType<typeof setTimeout> | undefined;

  const heard = (user: string, on: boolean) => {
    const known = ends.has(user);
    clearTimeout(ends.get(user));
    if (on) ends.set(user, setTimeout(heard, LASTS_MS, user, false));
    else ends.delete(user);
    if (known !== on) typists.set([...ends.keys()]);
  };

  const sent = () => {
    clearTimeout(pause);
    saidAt = 0;
  };

  const stop = () => {
    if (saidAt) say(false);
    sent();
  };

  return {
    typists,
    heard,
    sent,
    type(on) {
      if (!on) return stop();
      clearTimeout(pause);
      pause = setTimeout(stop, LASTS_MS);
      if (Date.now() - saidAt < EVERY_MS) return;
      saidAt = Date.now();
      say(true);
    },
    forget() {
      sent();
      for (const user of [...ends.keys()]) heard(user, false);
    },
  };
}
