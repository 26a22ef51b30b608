/** What a browser tells of its network and of the page; elsewhere, and in a worker, as much of it as there is. */

/** Whether the browser is sure that there is no network. It may be wrong in saying that there is one. */
export function isOffline(): boolean {
  return (globalThis.navigator as Navigator | undefined)?.onLine === false;
}

/** Tells `onOffline`, and `onOnline` also when someone looks at the page again; returns what ends it. */
export function watch(onOnline: () => void, onOffline: () => void): () => void {
  const page = globalThis.document as Document | undefined;
  const control = new AbortController();
  const listen = (target: EventTarget | undefined, event: string, listener: () => void) =>
    target?.addEventListener?.(event, listener, control);
  listen(globalThis, "online", onOnline);
  listen(globalThis, "offline", onOffline);
  listen(page, "visibilitychange", () => page?.visibilityState === "visible" && onOnline());
  return () => control.abort();
}
