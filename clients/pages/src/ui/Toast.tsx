import "./Toast.css";
import { useSyncExternalStore } from "react";
import type { Tone } from "./Badge.tsx";
import { IconButton } from "./Button.tsx";

interface Passing {
  readonly key: number;
  readonly tone: Tone;
  readonly text: string;
}

/** Long enough to be read twice. An error stays until it is closed. */
const SHOWN_MS = 6_000;

let shown: readonly Passing[] = [];
let said = "";
let nextKey = 0;
const listeners = new Set<() => void>();

function changed(): void {
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function dismiss(key: number): void {
  shown = shown.filter((toast) => toast.key !== key);
  changed();
}

/** Shows a message over the page, and reads it out. */
export function toast(text: string, tone: Tone = "plain"): void {
  const key = nextKey++;
  // The same twice is one that begins anew, and four are enough to look at.
  shown = [...shown.filter((other) => other.text !== text).slice(-3), { key, tone, text }];
  changed();
  if (tone !== "bad") setTimeout(() => dismiss(key), SHOWN_MS);
}

/** Reads out what is seen already. */
export function announce(text: string): void {
  said = text;
  changed();
}

/** Where they appear; `Page` has it. The live regions stand there from the beginning, for one that comes with its text is not read. */
export function Toasts() {
  const toasts = useSyncExternalStore(subscribe, () => shown);
  const words = useSyncExternalStore(subscribe, () => said);
  return (
    <>
      <div className="unseen" role="status" aria-label="Announcements">
        {words}
      </div>
      <div className="toasts" role="status" aria-label="Notifications">
        {toasts.map(({ key, tone, text }) => (
          <div key={key} className={`toast tone-${tone}`}>
            <span>{text}</span>
            <IconButton label="Dismiss" icon="close" small onClick={() => dismiss(key)} />
          </div>
        ))}
      </div>
    </>
  );
}
