import { useSyncExternalStore } from "react";
import { inBrowser } from "./storage.ts";

/** `system` follows the operating system. */
export type Theme = "system" | "light" | "dark";

const KEY = "chorus.theme";
const listeners = new Set<() => void>();

function read(): Theme {
  const theme = document.documentElement.dataset.theme;
  return theme === "light" || theme === "dark" ? theme : "system";
}

function choose(theme: Theme): void {
  show(theme);
  inBrowser.set(KEY, theme === "system" ? null : theme);
}

function show(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  for (const listener of listeners) listener();
}

/** Another tab chose. */
function followOtherTabs(event: StorageEvent): void {
  if (event.key !== KEY) return;
  show(event.newValue === "light" || event.newValue === "dark" ? event.newValue : "system");
}

function subscribe(listener: () => void): () => void {
  if (listeners.size === 0) addEventListener("storage", followOtherTabs);
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) removeEventListener("storage", followOtherTabs);
  };
}

/** The theme that was chosen (`public/theme.js` sets it before the first paint), and how to choose another. It is remembered. */
export function useTheme(): [Theme, (theme: Theme) => void] {
  return [useSyncExternalStore(subscribe, read), choose];
}
