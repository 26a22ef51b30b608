import type { Position } from "chorus-client";
import { later } from "./unread.ts";

/** How far this user has read in each room, as far as this page knows: the server's marker, and what was on the screen since. */
export class Seen {
  readonly #places = new Map<string, Position>();
  readonly #listeners = new Set<() => void>();

  at(room: string): Position | undefined {
    return this.#places.get(room);
  }

  /** Never goes back. */
  move(room: string, position: Position | undefined): void {
    const before = this.#places.get(room);
    const after = later(before, position);
    if (!after || (before?.epoch === after.epoch && before.seq === after.seq)) return;
    this.#places.set(room, { epoch: after.epoch, seq: after.seq });
    for (const listener of this.#listeners) listener();
  }

  forget(room: string): void {
    this.#places.delete(room);
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };
}
