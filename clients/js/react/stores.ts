import { createContext, useCallback, useContext, useMemo, useState, useSyncExternalStore } from "react";
import type { Chat, Observable, Options, Room } from "../src/types.ts";
import { type Membership, sharedChat, sharedRoom } from "./chats.ts";
import type { Shared } from "./shared.ts";

/** What a provider gives to what is below it: a connection that the application made, or one that is made when it is used. */
export type Provided = { readonly chat: Chat } | { readonly shared: Shared<Chat> };

export const ChatContext = createContext<Provided | undefined>(undefined);

const nothing = (): void => {};
const none = (): undefined => undefined;

/** `fallback` is shown while there is no `source`, and by a server: it is the same object each time. */
export function useObservable<T>(source: Observable<T> | undefined, fallback: T): T {
  const subscribe = useCallback((listener: () => void) => source?.subscribe(listener) ?? nothing, [source]);
  return useSyncExternalStore(subscribe, () => (source ? source.value : fallback), () => fallback);
}

/**
 * The connection to `url`, or that of the provider; with `given`, that one and no other: `null` is one that is not there yet. It is in use
 * for as long as the component is mounted.
 */
export function useConnection(given?: Chat | null, url?: string, options?: Options): Chat | undefined {
  const provided = useContext(ChatContext);
  const own = useSharedChat(url, options);
  const shared = given === undefined ? (own ?? (provided && "shared" in provided ? provided.shared : undefined)) : undefined;
  const subscribe = useCallback((listener: () => void) => shared?.use(listener) ?? nothing, [shared]);
  const chat = useSyncExternalStore(subscribe, () => shared?.value, none);
  if (given !== undefined) return given ?? undefined;
  return !own && provided && "chat" in provided ? provided.chat : chat;
}

/** The connection to `url`, not used yet. */
export function useSharedChat(url: string | undefined, options: Options | undefined): Shared<Chat> | undefined {
  const kept = useKept(options);
  return useMemo(() => (url === undefined ? undefined : sharedChat(url, kept)), [url, kept]);
}

/** Options that are written in place are new objects at each render, and functions in them too: what says the same is the same. */
function useKept(options: Options | undefined): Options | undefined {
  const [kept, keep] = useState(options);
  if (kept === options || same(kept, options)) return kept;
  keep(options);
  return options;
}

function same(a: Options | undefined, b: Options | undefined): boolean {
  if (!a || !b) return a === b;
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]) as Set<keyof Options>;
  return [...keys].every((key) => alike(a[key], b[key]));
}

function alike(a: unknown, b: unknown): boolean {
  if (typeof a === "function" && typeof b === "function") return true;
  if (typeof a === "object" && typeof b === "object") return JSON.stringify(a) === JSON.stringify(b);
  return Object.is(a, b);
}

/** The room is joined for as long as the component is mounted. */
export function useMembership(name: string | undefined, recent: number, given?: Chat | null): Membership | undefined {
  const chat = useConnection(given);
  const shared = useMemo(() => (chat && name !== undefined ? sharedRoom(chat, name) : undefined), [chat, name]);
  const subscribe = useCallback(
    (listener: () => void) => {
      if (!shared) return nothing;
      const end = shared.use(listener, recent ? { recent } : {});
      shared.value?.want(recent);
      return end;
    },
    [shared, recent],
  );
  return useSyncExternalStore(subscribe, () => shared?.value, none);
}

/** Says what is missing, rather than to wait for ever for a connection. */
export function useProvider(needed: boolean, hook: string): void {
  const provided = useContext(ChatContext);
  if (needed && !provided) throw new Error(`${hook}: there is no <ChatProvider> around the component; see what ${hook} takes instead`);
}

/** A room by its name is joined for as long as the component is mounted. */
export function useRoomOf(room: string | Room | undefined): Room | undefined {
  useProvider(typeof room === "string", "usePresence or useTyping by a room's name");
  const membership = useMembership(typeof room === "string" ? room : undefined, 0);
  return typeof room === "string" ? membership?.room : room;
}
