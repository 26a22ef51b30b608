import type { ChorusError, Json, MessageEvent, Position, Sent } from "../types.ts";
import type { MessageEntry } from "./types.ts";

interface Draft {
  readonly id: string;
  readonly data: Json;
  entry: MessageEntry;
}

/** Under which key a message is shown that was sent from here. */
export const keyOf = (id: string): string => `sent ${id}`;

/** What was sent and has not been seen in the log yet, in the order in which it was sent. */
export class Drafts {
  readonly #drafts = new Map<string, Draft>();

  get entries(): MessageEntry[] {
    return [...this.#drafts.values()].map((draft) => draft.entry);
  }

  add(id: string, data: Json, from: string): MessageEntry {
    const entry: MessageEntry = {
      kind: "message",
      key: keyOf(id),
      id,
      from,
      at: Date.now(),
      data,
      edited: false,
      deleted: false,
      reactions: [],
      state: "sending",
    };
    this.#drafts.set(id, { id, data, entry });
    return entry;
  }

  /** The draft of an entry that waits for `retry` or `discard`. */
  stuck(entry: MessageEntry): { readonly id: string; readonly data: Json } | undefined {
    const draft = this.#drafts.get(entry.id ?? "");
    return draft && (draft.entry.state === "failed" || draft.entry.state === "unknown") ? draft : undefined;
  }

  remove(id: string): void {
    this.#drafts.delete(id);
  }

  again(id: string): void {
    this.#change(id, "sending");
  }

  fail(id: string, error: ChorusError): void {
    this.#change(id, error.code === "unknown" ? "unknown" : "failed", error);
  }

  /** The `ok` came before the event. */
  confirm(id: string, { epoch, seq }: Sent): void {
    const draft = this.#drafts.get(id);
    if (!draft) return;
    const { error: _, ...entry } = draft.entry;
    draft.entry = { ...entry, position: { epoch, seq }, state: "sent" };
  }

  /** The key under which `event` is shown already; it is a draft no more. An id is one user's, so others may use the same. */
  claim(event: MessageEvent, user: string | undefined): string | undefined {
    const draft = event.id === undefined ? undefined : this.#drafts.get(event.id);
    if (!draft || (user !== undefined && event.from !== user)) return undefined;
    this.#drafts.delete(draft.id);
    return draft.entry.key;
  }

  /** Those whose `ok` came, and whose event will not: where we stand is behind it. */
  passed(seq: number): MessageEntry[] {
    return this.entries.filter((entry) => entry.position !== undefined && entry.position.seq <= seq);
  }

  /** A message whose event had come is a draft again. What was done to it does not count: that went with it. A deleted one has nothing to send. */
  restore(entry: MessageEntry): void {
    const { id, data } = entry;
    if (id !== undefined && data !== undefined) this.#drafts.set(id, { id, data, entry: { ...entry, edited: false, reactions: [] } });
  }

  /** What was confirmed, and lies where `gone` says, was lost with a server. */
  lose(gone: (position: Position) => boolean, error: ChorusError): void {
    for (const { id, entry } of this.#drafts.values()) if (entry.position && gone(entry.position)) this.fail(id, error);
  }

  #change(id: string, state: MessageEntry["state"], error?: ChorusError): void {
    const draft = this.#drafts.get(id);
    if (!draft) return;
    const { error: _, position: __, ...entry } = draft.entry;
    draft.entry = { ...entry, state, ...(error && { error }) };
  }
}
