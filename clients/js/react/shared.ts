/** How long something stays after its last user has gone, in ms. Strict Mode mounts twice, and a change of pages takes away what it brings back at once. */
const GRACE = 1_000;

/** What `Shared` keeps. */
export interface Kept<T, O> {
  open(options: O | undefined): T;
  close(value: T): void;
  /** It may not be closed yet: asked again later. */
  busy(value: T): boolean;
}

/** Something that there is once, for as long as somebody uses it, and a moment longer. Made for `useSyncExternalStore`. */
export class Shared<T, O = never> {
  readonly #kept: Kept<T, O>;
  readonly #listeners = new Set<() => void>();
  #users = 0;
  #value: T | undefined;
  #ending: ReturnType<typeof setTimeout> | undefined;

  constructor(kept: Kept<T, O>) {
    this.#kept = kept;
  }

  get value(): T | undefined {
    return this.#value;
  }

  /** Opens it with these `options`, if it is not open; the answer ends this use. `listener` hears when there is another value. */
  use(listener: () => void, options?: O): () => void {
    clearTimeout(this.#ending);
    this.#users++;
    this.#listeners.add(listener);
    if (this.#value === undefined) {
      this.#value = this.#kept.open(options);
      for (const listener of this.#listeners) listener();
    }
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      this.#listeners.delete(listener);
      if (--this.#users === 0) this.#endSoon();
    };
  }

  #endSoon(): void {
    this.#ending = setTimeout(() => {
      const value = this.#value;
      if (value === undefined) return;
      if (this.#kept.busy(value)) return this.#endSoon();
      this.#value = undefined;
      this.#kept.close(value);
    }, GRACE);
  }
}
