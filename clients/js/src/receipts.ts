/** Read markers: how far everybody has read, and the own one on its way. */
import { insist } from "./insist.ts";
import { cell, type Cell } from "./observable.ts";
import type { Marker, Position } from "./types.ts";
import type { Request, Wire } from "./wire.ts";

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

  const flush = () => {
    const target = due;
    if (!target || timer) return;
    insist(
      wire,
      () => (due === target && isReady() ? request(target) : undefined),
      () => (due = undefined),
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
      timer ??= setTimeout(() => {
        timer = undefined;
        flush();
      }, GATHER_MS);
    },
    end: () => {
      clearTimeout(timer);
      due = undefined;
    },
  };
}
