import "./RoomList.css";
import { useEffect, useState, useSyncExternalStore, type FormEvent } from "react";
import { useRoom, type Entry } from "chorus-client/react";
import type { Chat } from "chorus-client";
import { Badge } from "../ui/Badge.tsx";
import { IconButton } from "../ui/Button.tsx";
import { TextField } from "../ui/Field.tsx";
import { addressOf, fault, tidy } from "./rooms.ts";
import type { Seen } from "./seen.ts";
import { unread } from "./unread.ts";
import { useMarkers } from "./useMarkers.ts";

/** How many of the last messages are there when a room is joined; more come by scrolling up. */
export const RECENT = 50;
/** Entries of a room that are held at most while it is not shown; half of them are kept then. */
const MOST_HELD = 1_000;

interface RoomListProps {
  readonly chat: Chat | undefined;
  readonly names: readonly string[];
  readonly current: string | undefined;
  readonly seen: Seen;
  readonly onOpen: (name: string) => void;
  readonly onLeave: (name: string) => void;
}

/** The rooms one is in. They are all joined, so that each knows what is new in it. */
export function RoomList({ chat, names, current, seen, onOpen, onLeave }: RoomListProps) {
  const [name, setName] = useState("");
  const [wrong, setWrong] = useState<string>();
  const join = (event: FormEvent) => {
    event.preventDefault();
    const found = fault(tidy(name));
    setWrong(found);
    if (found !== undefined) return;
    setName("");
    onOpen(tidy(name));
  };
  return (
    <nav className="rooms" aria-label="Rooms">
      <h2 className="rooms-title">Rooms</h2>
      <ul className="rooms-list">
        {names.map((room) => (
          <RoomItem key={room} name={room} chat={chat} current={room === current} seen={seen} onOpen={onOpen} onLeave={onLeave} />
        ))}
      </ul>
      <form className="rooms-join" onSubmit={join}>
        <TextField
          label="Join a room"
          labelUnseen
          placeholder="Join a room"
          error={wrong}
          value={name}
          onChange={(event) => {
            setName(event.target.value);
            setWrong(undefined);
          }}
          autoCapitalize="none"
          autoComplete="off"
          spellCheck={false}
        />
        <IconButton type="submit" label="Join this room" icon="plus" look="plain" />
      </form>
    </nav>
  );
}

/** Has the browser ask before the page goes, while something would go with it. */
function useWarning(needed: boolean) {
  useEffect(() => {
    if (!needed) return;
    const warn = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener("beforeunload", warn);
    return () => removeEventListener("beforeunload", warn);
  }, [needed]);
}

interface RoomItemProps {
  readonly chat: Chat | undefined;
  readonly name: string;
  readonly current: boolean;
  readonly seen: Seen;
  readonly onOpen: (name: string) => void;
  readonly onLeave: (name: string) => void;
}

function RoomItem({ chat, name, current, seen, onOpen, onLeave }: RoomItemProps) {
  const { entries, status, room, trim } = useRoom(name, { recent: RECENT });
  const markers = useMarkers(room);
  const place = useSyncExternalStore(seen.subscribe, () => seen.at(name));
  const me = chat?.user;

  // Not of the room that is shown: its reader may have gone up.
  useEffect(() => {
    if (!current && entries.length > MOST_HELD) trim(MOST_HELD / 2);
  }, [current, entries.length, trim]);
  useWarning(entries.some((one) => one.kind === "message" && one.state !== "sent"));

  const own = markers.find(({ user }) => user === me);
  useEffect(() => {
    if (own) seen.move(name, own);
    // Who comes for the first time begins with what comes.
    else if (status.state === "joined" && !seen.at(name)) seen.move(name, room?.position);
  }, [own, status, name, room, seen]);

  const { count } = unread(entries as readonly Entry[], place, me);
  const shown = count >= RECENT ? `${RECENT}+` : String(count);
  return (
    <li className={current ? "room-item room-item-current" : "room-item"}>
      <a
        className="room-link"
        href={addressOf(name)}
        aria-current={current ? "page" : undefined}
        aria-label={count > 0 ? `${name}, ${shown} unread` : name}
        onClick={(event) => {
          if (event.metaKey || event.ctrlKey || event.shiftKey) return;
          event.preventDefault();
          onOpen(name);
        }}
      >
        <span className="room-hash" aria-hidden="true">
          #
        </span>
        <span className={count > 0 ? "room-name room-name-unread" : "room-name"}>{name}</span>
        {status.state === "left" && <Badge tone="bad">not in</Badge>}
        {count > 0 && <Badge tone="info">{shown}</Badge>}
      </a>
      <IconButton label={`Leave ${name}`} icon="close" small onClick={() => onLeave(name)} />
    </li>
  );
}
