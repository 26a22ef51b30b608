import { useCallback, useEffect, useState } from "react";
import { inBrowser, jsonIn } from "../ui/storage.ts";

const KEY = "chorus.rooms";
const ROOM = /^[A-Za-z0-9_.:#-]{1,128}$/;

/** Why a room can't have this name, for its giver; nothing when it can. */
export function fault(name: string): string | undefined {
  if (!name) return "Name a room.";
  return ROOM.test(name) ? undefined : "A room’s name has up to 128 letters (A to Z), digits and _ . - : #";
}

/** The name as it was meant. */
export function tidy(name: string): string {
  return name.trim().replace(/\s+/g, "-");
}

interface Rooms {
  /** In the order in which they were joined. */
  readonly names: readonly string[];
  readonly current: string | undefined;
}

interface RoomsActions {
  /** Shows a room, and joins it if need be. */
  open(name: string): void;
  leave(name: string): void;
}

function known(): readonly string[] {
  const names = jsonIn(inBrowser, KEY);
  return Array.isArray(names) ? names.filter((name): name is string => typeof name === "string" && ROOM.test(name)) : [];
}

/** The room in the address: it can be sent to others, and the browser's way back leads to the room before. */
function addressed(): string | undefined {
  const name = new URLSearchParams(location.hash.slice(1)).get("room") ?? "";
  return ROOM.test(name) ? name : undefined;
}

/** Where a room is. */
export function addressOf(name: string): string {
  return `#${new URLSearchParams({ room: name })}`;
}

function begin(): Rooms {
  const names = known();
  return go({ names, current: names[0] }, addressed());
}

function go({ names, current }: Rooms, name: string | undefined): Rooms {
  if (name === undefined) return { names, current };
  return { names: names.includes(name) ? names : [...names, name], current: name };
}

/** The rooms that this browser is in, and the one that is shown. They are remembered. */
export function useRooms(): Rooms & RoomsActions {
  const [rooms, setRooms] = useState(begin);

  useEffect(() => {
    inBrowser.set(KEY, JSON.stringify(rooms.names));
    const address = rooms.current === undefined ? location.pathname : addressOf(rooms.current);
    if (addressed() === undefined) history.replaceState(null, "", address);
    else if (addressed() !== rooms.current) history.pushState(null, "", address);
  }, [rooms]);

  useEffect(() => {
    const follow = () => setRooms((before) => go(before, addressed()));
    addEventListener("hashchange", follow);
    addEventListener("popstate", follow);
    return () => {
      removeEventListener("hashchange", follow);
      removeEventListener("popstate", follow);
    };
  }, []);

  const open = useCallback((name: string) => setRooms((before) => go(before, name)), []);
  const leave = useCallback((name: string) => {
    setRooms(({ names, current }) => {
      const left = names.filter((other) => other !== name);
      // The neighbour takes its place.
      return { names: left, current: current === name ? left[Math.min(names.indexOf(name), left.length - 1)] : current };
    });
  }, []);
  return { ...rooms, open, leave };
}
