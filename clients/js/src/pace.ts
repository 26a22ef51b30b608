/** Sends no faster than the server takes it: a burst waits here, and is not refused there. */
import type { Frame, Limits, Request } from "./wire.ts";

/** In force until a `welcome` says otherwise: the server's defaults. */
export const DEFAULT_LIMITS: Limits = {
  id_ttl_ms: 300_000,
  data_bytes: 16_384,
  frame_bytes: 65_536,
  json_depth: 32,
  requests_in_flight: 64,
  frames_per_second: 50,
  frame_burst: 100,
};

type Done = ((answer?: Frame) => void) | undefined;

export interface Pace {
  ask(make: () => Request | undefined, done?: Done): void;
  /** Gives an answer to who has asked. */
  answer(frame: Frame): void;
  hold(ms: number): void;
  /** A connection takes requests, and takes them like this from now on. */
  open(limits: Limits): void;
  /** It takes none any more: whoever waits for an answer is told that there is none. */
  shut(): void;
}

/**
 * At most half a burst is unanswered at a time, and half a burst is sent at once: so what the network holds up and delivers in one
 * piece is still no more than the server's burst.
 */
export function pace(write: (frame: Request) => void): Pace {
  const asked = new Map<number, Done>();
  let queue: [() => Request | undefined, Done][] = [];
  let isOpen = false;
  let burst = 0;
  let perMs = 0;
  let atOnce = 0;
  /** Full when a connection begins. */
  let tokens = Infinity;
  let counted = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let ref = 0;

  const count = () => {
    const now = Date.now();
    tokens = Math.min(burst, tokens + Math.max(0, now - counted) * perMs);
    counted = now;
  };

  const flow = () => {
    clearTimeout(timer);
    if (!isOpen) return;
    count();
    while (queue.length && asked.size < atOnce) {
      if (tokens < 1) {
        timer = setTimeout(flow, Math.ceil((1 - tokens) / perMs));
        return;
      }
      const [make, done] = queue.shift()!;
      const request = make();
      if (!request) {
        done?.();
      } else {
        tokens -= 1;
        if (done) asked.set(++ref, done);
        write(done ? { ...request, ref } : request);
      }
      // `make`, `done` and `write` may have ended all this.
      if (!isOpen) return;
    }
  };

  return {
    ask(make, done) {
      if (!isOpen) return done?.();
      queue.push([make, done]);
      flow();
    },
    answer(frame) {
      const done = asked.get(frame.ref!);
      asked.delete(frame.ref!);
      done?.(frame);
      flow();
    },
    hold(ms) {
      count();
      tokens = Math.min(tokens, 1 - ms * perMs);
      flow();
    },
    open({ frame_burst, frames_per_second, requests_in_flight }) {
      isOpen = true;
      burst = Math.max(1, frame_burst / 2);
      atOnce = Math.max(1, Math.min(requests_in_flight, burst));
      perMs = frames_per_second / 1000;
      flow();
    },
    shut() {
      isOpen = false;
      tokens = Infinity;
      clearTimeout(timer);
      const ended = [...asked.values(), ...queue.map(([, done]) => done)];
      asked.clear();
      queue = [];
      for (const done of ended) done?.();
    },
  };
}
