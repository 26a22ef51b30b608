/** What a browser keeps under a name: strings. */
export interface Store {
  get(key: string): string | null;
  /** `null` forgets it. */
  set(key: string, value: string | null): void;
}

/** Storage may be forbidden, even to be looked at, and it may be full: what can't be kept there lasts as long as the page. */
export function guarded(storage: () => Pick<Storage, "getItem" | "setItem" | "removeItem">): Store {
  const unkept = new Map<string, string | null>();
  return {
    get(key) {
      const value = unkept.get(key);
      if (value !== undefined) return value;
      try {
        return storage().getItem(key);
      } catch {
        return null;
      }
    },
    set(key, value) {
      unkept.delete(key);
      try {
        if (value === null) storage().removeItem(key);
        else storage().setItem(key, value);
      } catch {
        unkept.set(key, value);
      }
    },
  };
}

/** As long as the tab. */
export const inTab = guarded(() => sessionStorage);

/** Until somebody forgets it. */
export const inBrowser = guarded(() => localStorage);

/** The JSON that is kept under `key`; undefined where there is none, or something else. */
export function jsonIn(store: Store, key: string): unknown {
  try {
    return JSON.parse(store.get(key) ?? "") as unknown;
  } catch {
    return undefined;
  }
}
