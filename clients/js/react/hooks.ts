import { useCallback, useMemo } from "react";
import type { GapEntry, MessageEntry, TimelineState } from "../src/timeline.ts";
import type { Chat, Json, Options, Presence, Room, RoomStatus, Status } from "../src/types.ts";
import { useConnection, useMembership, useObservable, useProvider, useRoomOf } from "./stores.ts";

export interface RoomOptions {
  /** Show the last so many messages. Default: none but the new ones, until `loadOlder`. */
  readonly recent?: number;
  /** Without a `ChatProvider`: the connection, as `useChat(url, options)` gave it. */
  readonly chat?: Chat | undefined;
}

/** What `useRoom` gives. Its functions are the same from render to render, and those of its `Timeline`. */
export interface RoomView extends TimelineState {
  /** For all else: `edit`, `delete`, `react`, `read`, `history`. Unset until the component is mounted, and on a server. */
  readonly room: Room | undefined;
  readonly status: RoomStatus;
  /** Shows the message at once and sends it; what becomes of it is in its entry. Throws when no component shows the room. */
  readonly send: (data: Json) => void;
  readonly retry: (entry: MessageEntry) => void;
  readonly discard: (entry: MessageEntry) => void;
  readonly loadOlder: (limit?: number) => Promise<void>;
  readonly fill: (gap: GapEntry, limit?: number) => Promise<void>;
  readonly trim: (keep: number) => void;
}

export interface TypingView {
  /** Who types, without oneself. */
  readonly typing: readonly string[];
  /** Say it at every key, and `false` when the text is sent or gone. */
  readonly type: (on?: boolean) => void;
}

// What is shown before there is anything, and by a server. The same objects each time, as `useSyncExternalStore` asks for.
const IDLE: Status = { state: "idle" };
const JOINING: RoomStatus = { state: "joining" };
const LOADING: TimelineState = { entries: [], older: "loading" };
const NOBODY: Presence = { count: 0 };
const SILENCE: readonly string[] = [];

/**
 * The connection: that of the `ChatProvider`, or with `url` the one that all components share who name this `url` and the same `options`
 * object. Undefined until the component is mounted, and on a server. It connects when the first room is joined.
 */
export function useChat(url?: string, options?: Options): Chat | undefined {
  useProvider(url === undefined, "useChat");
  return useConnection(undefined, url, options);
}

/** Joins the room for as long as a component shows it, and shows what is in it. */
export function useRoom(name: string, options: RoomOptions = {}): RoomView {
  const given = "chat" in options ? (options.chat ?? null) : undefined;
  useProvider(given === undefined, "useRoom");
  const membership = useMembership(name, options.recent ?? 0, given);
  const state = useObservable(membership?.timeline, LOADING);
  const status = useObservable(membership?.room.status, JOINING);
  const actions = useMemo(() => {
    const timeline = () => {
      if (membership) return membership.timeline;
      throw new Error(`useRoom: room ${name} can be used once the component is mounted; wait until its \`room\` is there`);
    };
    return {
      send: (data: Json) => void timeline().send(data),
      retry: (entry: MessageEntry) => timeline().retry(entry),
      discard: (entry: MessageEntry) => timeline().discard(entry),
      loadOlder: async (limit?: number) => timeline().loadOlder(limit),
      fill: async (gap: GapEntry, limit?: number) => timeline().fill(gap, limit),
      trim: (keep: number) => timeline().trim(keep),
    };
  }, [membership, name]);
  return { ...state, ...actions, status, room: membership?.room };
}

/** Who is in the room. By its name it is joined, as by `useRoom`; a `room` that `useRoom` gave is only looked at. */
export function usePresence(room: string | Room | undefined): Presence {
  return useObservable(useRoomOf(room)?.presence, NOBODY);
}

/** Who types in the room; see `usePresence` for what it may be. */
export function useTyping(room: string | Room | undefined): TypingView {
  const joined = useRoomOf(room);
  const typing = useObservable(joined?.typing, SILENCE);
  const type = useCallback((on?: boolean) => joined?.type(on), [joined]);
  return { typing, type };
}

/** How the connection stands: that of the `ChatProvider`, or `chat`. */
export function useStatus(chat?: Chat): Status {
  return useObservable(useConnection(chat)?.status, IDLE);
}
