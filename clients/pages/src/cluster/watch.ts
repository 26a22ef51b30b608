/** Asks the gateway how the cluster is, once a second while the page is seen, and keeps what it said. */
import { inTab } from "../ui/storage.ts";
import { Api, Refusal } from "./api.ts";
import { EMPTY, take, type History } from "./history.ts";

/** `asking`: nothing is known yet. `locked`: a key is needed, or another one. */
export type Phase = "asking" | "locked" | "watching";

export interface View {
  readonly phase: Phase;
  readonly history: History;
  /** Why the last call brought nothing, in words; null after one that did. */
  readonly trouble: string | null;
  /** Why the key was not taken; null if there was none, or it was. */
  readonly refusal: string | null;
  /** Whether a key was given. */
  readonly hasKey: boolean;
  /** Since when it is asked without a pause, by the page's own clock. */
  readonly since: number;
}

const EVERY_MS = 1_000;

/** How long an answer may take. Behind a proxy a node that is gone costs two seconds. */
const PATIENCE_MS = 4_000;

const KEY = "chorus.cluster.key";

export class Watch {
  #view: View;
  #key: string | null;
  #listeners = new Set<() => void>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asking: AbortController | null = null;

  constructor() {
    this.#key = inTab.get(KEY);
    this.#view = { phase: "asking", history: EMPTY, trouble: null, refusal: null, hasKey: this.#key !== null, since: performance.now() };
  }

  view = (): View => this.#view;

  /** What is called with the key that holds now. */
  get api(): Api {
    return new Api(this.#key);
  }

  /** Looks on for as long as somebody listens. */
  subscribe = (listener: () => void): (() => void) => {
    if (this.#listeners.size === 0) {
      document.addEventListener("visibilitychange", this.#seen);
      this.#ask();
    }
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      document.removeEventListener("visibilitychange", this.#seen);
      this.#stop();
    };
  };

  /** Tries a key. It is kept in this tab, and is forgotten with it. */
  unlock(key: string): void {
    this.#key = key;
    inTab.set(KEY, key);
    this.#change({ phase: "asking", trouble: null, refusal: null, hasKey: true });
    this.#ask();
  }

  /** Forgets the key, and what was seen with it. */
  lock(): void {
    this.#stop();
    this.#key = null;
    inTab.set(KEY, null);
    this.#change({ phase: "locked", history: EMPTY, trouble: null, refusal: null, hasKey: false });
  }

  /** Asks at once, for something was done. */
  refresh(): void {
    if (this.#view.phase === "watching") this.#ask();
  }

  #seen = (): void => {
    if (document.hidden) return this.#stop();
    this.#change({ since: performance.now() });
    if (this.#view.phase !== "locked") this.#ask();
  };

  #stop(): void {
    clearTimeout(this.#timer);
    this.#asking?.abort();
    this.#asking = null;
  }

  #ask(): void {
    this.#stop();
    if (document.hidden) return;
    const asking = new AbortController();
    this.#asking = asking;
    void this.#once(asking).finally(() => {
      if (this.#asking !== asking) return;
      this.#asking = null;
      if (this.#view.phase !== "locked") this.#timer = setTimeout(() => this.#ask(), EVERY_MS);
    });
  }

  async #once(asking: AbortController): Promise<void> {
    try {
      const answer = await this.api.nodes(AbortSignal.any([asking.signal, AbortSignal.timeout(PATIENCE_MS)]));
      if (asking.signal.aborted) return;
      this.#change({ phase: "watching", history: take(this.#view.history, answer, performance.now()), trouble: null, refusal: null });
    } catch (error) {
      if (asking.signal.aborted) return;
      if (error instanceof Refusal && (error.status === 401 || error.status === 403)) {
        const refusal = this.#key === null ? null : words(error);
        this.#key = null;
        inTab.set(KEY, null);
        this.#change({ phase: "locked", history: EMPTY, trouble: null, refusal, hasKey: false });
      } else {
        this.#change({ trouble: error instanceof Refusal ? error.message : "nobody answers" });
      }
    }
  }

  #change(change: Partial<View>): void {
    this.#view = { ...this.#view, ...change };
    for (const listener of this.#listeners) listener();
  }
}

/** A key that is none is taken for a user's token, and what the gateway says of that helps nobody here. */
function words({ status, message }: Refusal): string {
  if (status === 401) return "This is none of the cluster's API keys.";
  return message.includes("API key") ? "This is a user's token, and the page needs an API key." : `The gateway refuses: ${message}.`;
}
