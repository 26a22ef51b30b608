import { cell } from "../src/observable.ts";

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
  readonly #current = cell<T | undefined>(undefined);
  #users = 0;
  #ending: ReturnType<typeof setTimeout> | undefined;

  constructor(kept: Kept<T, O>) {
    this.#kept = kept;
  }

  get value(): T | undefined {
    return this.#current.value;
  }

  /** Opens it with these `options`, if it is not open; the answer ends this use. `listener` hears when there is another value. */
  use(listener: () => void, options?: O): () => void {
    clearTimeout(this.#ending);
    this.#users++;
    const end = this.#current.subscribe(listener);
    if (this.value === undefined) this.#current.set(this.#kept.open(options));
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      end();
      if (--this.#users === 0) this.#endSoon();
    };
  }

  #endSoon(): void {
    this.#ending = setTimeout(() => {
      const { value } = this;
      if (value === undefined) return;
      if (this.#kept.busy(value)) return this.#endSoon();
      this.#current.set(undefined);
      this.#kept.close(value);
    }, GRACE);
  }
}
