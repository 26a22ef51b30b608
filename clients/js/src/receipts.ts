/** Read markers: how far everybody has read, and the own one on its way. */
import { backoff } from "./backoff.ts";
import { passes } from "./codes.ts";
import { cell, type Cell } from "./observable.ts";
import type { Marker, Position } from "./types.ts";
import type { Frame, Request, Wire } from "./wire.ts";

/** What is read within this time becomes one frame. */
const GATHER_MS = 250;

export interface Receipts {
  readonly markers: Cell<readonly Marker[]>;
  /** Those that moved; with `all`, whatever there is. */
  told(markers: readonly Marker[], all?: boolean): void;
  read(target: Position): void;
  /** The room is there: what is still to be told goes out. */
  flush(): void;
  end(): void;
}

export function receipts(wire: Wire, isReady: () => boolean, request: (target: Position) => Request): Receipts {
  const markers = cell<readonly Marker[]>([]);
  /** The furthest that was asked for, and what of it is not known to have arrived. */
  let furthest: Position | undefined;
  let due: Position | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let failures = 0;

  const later = (ms: number) => {
    timer ??= setTimeout(() => {
      timer = undefined;
      flush();
    }, ms);
  };

  const flush = () => {
    const target = due;
    if (!target || timer || !isReady()) return;
    wire.ask(
      () => request(target),
      (answer) => {
        if (answer && passes(codeOf(answer))) later(Math.max(answer.retry_after_ms ?? 0, backoff(failures++)));
        else if (answer && due === target) {
          due = undefined;
          failures = 0;
        }
      },
    );
  };

  return {
    markers,
    flush,
    told(moved, all) {
      const users = new Map(all ? [] : markers.value.map((marker) => [marker.user, marker]));
      for (const marker of moved) users.set(marker.user, marker);
      markers.set([...users.values()]);
    },
    read(target) {
      if (furthest && furthest.epoch === target.epoch && target.seq <= furthest.seq) return;
      due = furthest = { epoch: target.epoch, seq: target.seq };
      later(GATHER_MS);
    },
    end: () => {
      clearTimeout(timer);
      due = undefined;
    },
  };
}

function codeOf({ type, code }: Frame): string | undefined {
  return type === "error" ? String(code) : undefined;
}
