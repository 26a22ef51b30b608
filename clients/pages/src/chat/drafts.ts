import { inTab, jsonIn, type Store } from "../ui/storage.ts";

const KEY = "chorus.drafts";

/** What was typed in each room and not sent. A reload keeps it. */
export class Drafts {
  readonly #store: Store;
  readonly #texts: Map<string, string>;

  constructor(store: Store = inTab) {
    this.#store = store;
    const kept = jsonIn(store, KEY);
    const texts = typeof kept === "object" && kept !== null ? Object.entries(kept) : [];
    this.#texts = new Map(texts.filter((one): one is [string, string] => typeof one[1] === "string"));
  }

  in(room: string): string {
    return this.#texts.get(room) ?? "";
  }

  /** Without a text it is forgotten. */
  keep(room: string, text: string): void {
    if (text === "") this.#texts.delete(room);
    else this.#texts.set(room, text);
    this.#store.set(KEY, this.#texts.size === 0 ? null : JSON.stringify(Object.fromEntries(this.#texts)));
  }
}

/** Whoever signs out leaves nothing to the next. */
export function forgetDrafts(): void {
  inTab.set(KEY, null);
}
