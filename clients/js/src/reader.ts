/** A room as something to iterate: events and resets from the call on, in order. */
import { ChorusError } from "./errors.ts";
import type { Reset, RoomEvent } from "./types.ts";

/** What a slow reader may leave lying. */
const UNREAD = 10_000;

type Item = RoomEvent | Reset;

export interface Readers {
  open(): AsyncIterator<Item>;
  push(item: Item): void;
  end(error?: ChorusError): void;
}

export function readers(): Readers {
  const all = new Set<{ push(item: Item): void; end(error?: ChorusError): void }>();
  let over: { error: ChorusError | undefined } | undefined;

  const open = (): AsyncIterator<Item> => {
    const unread: Item[] = [];
    let waiting: (() => void) | undefined;
    let ended = over;
    const end = (error?: ChorusError) => {
      ended ??= { error };
      all.delete(reader);
      waiting?.();
    };
    const reader = {
      push(item: Item) {
        if (unread.push(item) > UNREAD) end(new ChorusError("overflow", `${UNREAD} events were not read`));
        waiting?.();
      },
      end,
    };
    if (!ended) all.add(reader);
    return {
      async next() {
        for (;;) {
          const value = unread.shift();
          if (value) return { value, done: false };
          if (ended?.error) throw ended.error;
          if (ended) return { value: undefined, done: true };
          await new Promise<void>((go) => (waiting = go));
        }
      },
      async return() {
        unread.length = 0;
        end();
        return { value: undefined, done: true };
      },
    };
  };

  return {
    open,
    push: (item) => all.forEach((reader) => reader.push(item)),
    end(error) {
      over ??= { error };
      all.forEach((reader) => reader.end(error));
    },
  };
}
