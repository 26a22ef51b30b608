/**
 * Values that tell when they change, and events. A listener that throws is its own fault: it is reported, and stops nobody else. One that is
 * ended hears nothing more, also not of what is just being told.
 */
import type { Observable } from "./types.ts";

type Listener<T> = (value: T) => void;

export interface Cell<T> extends Observable<T> {
  set(value: T): void;
}

export function cell<T>(value: T): Cell<T> {
  const listeners = listenersOf<T>();
  return {
    get value() {
      return value;
    },
    subscribe: listeners.add,
    set(next) {
      value = next;
      listeners.tell(next);
    },
  };
}

/** What `on` of a chat and of a room is made of. */
export interface Hub<Events> {
  on<E extends keyof Events>(event: E, listener: Listener<Events[E]>): () => void;
  emit<E extends keyof Events>(event: E, value: Events[E]): void;
  /** Whether anybody listens. */
  wants(event: keyof Events): boolean;
}

export function hub<Events>(): Hub<Events> {
  const events = new Map<keyof Events, ReturnType<typeof listenersOf<never>>>();
  const of = (event: keyof Events) => {
    if (!events.has(event)) events.set(event, listenersOf());
    return events.get(event) as ReturnType<typeof listenersOf<never>>;
  };
  return {
    on: (event, listener) => of(event).add(listener as Listener<never>),
    emit: (event, value) => of(event).tell(value as never),
    wants: (event) => of(event).any(),
  };
}

export function listenersOf<T>() {
  const listeners = new Set<{ tell: Listener<T> }>();
  return {
    add: (tell: Listener<T>) => {
      // An entry of its own, so that one function may be added twice and be taken away once.
      const entry = { tell };
      listeners.add(entry);
      return () => void listeners.delete(entry);
    },
    any: () => listeners.size > 0,
    clear: () => listeners.clear(),
    tell: (value: T) => {
      for (const entry of [...listeners]) {
        try {
          if (listeners.has(entry)) entry.tell(value);
        } catch (error) {
          queueMicrotask(() => {
            throw error;
          });
        }
      }
    },
  };
}
