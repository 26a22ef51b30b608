import { useEffect, useRef, useState, useSyncExternalStore } from "react";
import type { Room, RoomStatus } from "chorus-client";
import type { Entry } from "chorus-client/timeline";
import type { Seen } from "./seen.ts";
import { lastPosition, unread } from "./unread.ts";

interface About {
  readonly name: string;
  readonly room: Room | undefined;
  readonly status: RoomStatus;
  readonly entries: readonly Entry[];
  readonly me: string | undefined;
  readonly seen: Seen;
  /** The end is on the screen. */
  readonly bottom: boolean;
}

interface News {
  /** The key of the message above which the line stands. It stays until the page is left, or more comes unseen. */
  readonly first: string | undefined;
  readonly count: number;
}

/** What is new, and that it is read when it is on the screen. */
export function useNews({ name, room, status, entries, me, seen, bottom }: About): News {
  const [line, setLine] = useState<string>();
  const visible = useVisible();
  const opening = useRef(true);
  const place = useSyncExternalStore(seen.subscribe, () => seen.at(name));
  const { count, first } = unread(entries, place, me);
  const joined = status.state === "joined";
  const reading = visible && bottom;

  useEffect(() => {
    if (!joined || !place) return;
    if (first !== undefined && (opening.current || !reading)) setLine(first);
    opening.current = false;
    const last = lastPosition(entries);
    if (!reading || !last) return;
    seen.move(name, last);
    room?.read(last);
  }, [joined, place, first, reading, entries, name, room, seen]);

  useEffect(() => {
    if (!visible) setLine(undefined);
  }, [visible]);

  return { first: line, count };
}

function useVisible(): boolean {
  return useSyncExternalStore(
    (listener) => {
      document.addEventListener("visibilitychange", listener);
      return () => document.removeEventListener("visibilitychange", listener);
    },
    () => document.visibilityState === "visible",
  );
}
