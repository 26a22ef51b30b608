import type { ChorusError, Json, MessageEvent, Sent } from "../types.ts";
import type { MessageEntry } from "./types.ts";

interface Draft {
  readonly id: string;
  readonly data: Json;
  entry: MessageEntry;
}

/** What was sent and has not been seen in the log yet, in the order in which it was sent. */
export class Drafts {
  readonly #drafts = new Map<string, Draft>();

  get entries(): MessageEntry[] {
    return [...this.#drafts.values()].map((draft) => draft.entry);
  }

  add(id: string, data: Json, from: string): MessageEntry {
    const entry: MessageEntry = {
      kind: "message",
      key: `sent ${id}`,
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

  /** What was confirmed after `seq` was lost with a server, before its event came. */
  lose(seq: number, error: ChorusError): void {
    for (const draft of this.#drafts.values()) {
      const { position, ...rest } = draft.entry;
      if (position && position.seq > seq) draft.entry = { ...rest, state: "failed", error };
    }
  }

  #change(id: string, state: MessageEntry["state"], error?: ChorusError): void {
    const draft = this.#drafts.get(id);
    if (!draft) return;
    const { error: _, ...entry } = draft.entry;
    draft.entry = { ...entry, state, ...(error && { error }) };
  }
}
