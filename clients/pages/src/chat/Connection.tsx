import "./Connection.css";
import { useEffect, useState } from "react";
import type { Chat, Room, RoomStatus } from "chorus-client";
import { useStatus } from "chorus-client/react";
import type { Entry } from "chorus-client/timeline";
import { StatusDot } from "../ui/Badge.tsx";
import { Button } from "../ui/Button.tsx";
import { useNow } from "../ui/useNow.ts";
import { words } from "./status.ts";
import { useHeldUp } from "./useHeldUp.ts";

/** For so long it is said what came meanwhile. */
const SAID_MS = 8_000;

/** So many letters find room beside the room's name on a phone. */
const SHORT = 22;

interface ConnectionProps {
  readonly chat: Chat | undefined;
  readonly room: Room | undefined;
  readonly status: RoomStatus;
  readonly entries: readonly Entry[];
  readonly onSignIn: () => void;
}

/** How the connection stands, in words that are true now. */
export function Connection({ chat, room, status, entries, onSignIn }: ConnectionProps) {
  const connection = useStatus();
  const caughtUp = useCaughtUp(room);
  const now = useNow(250, connection.state === "waiting");
  const heldUp = useHeldUp(entries, connection.state === "connected" && status.state === "joined");
  const { tone, text, tail, why, help } = words(connection, status, now, { caughtUp, heldUp });
  return (
    <div className={help || text.length + (tail?.length ?? 0) > SHORT ? "connection connection-long" : "connection"} role="group" aria-label="Connection" title={why} data-testid="status">
      <StatusDot tone={tone} hollow={connection.state !== "connected"}>
        <span role="status">{text}</span>
        {tail && <span aria-hidden={connection.state === "waiting"}>{tail}</span>}
      </StatusDot>
      {help === "connect" && (
        <Button small onClick={() => chat?.reconnect()}>
          Connect now
        </Button>
      )}
      {help === "sign in" && (
        <Button small onClick={() => onSignIn()}>
          Sign in again
        </Button>
      )}
    </div>
  );
}

/** How many messages came when the room was caught up with lately; 0 when that is long ago, or there were none. */
function useCaughtUp(room: Room | undefined): number {
  const [caughtUp, setCaughtUp] = useState(0);
  useEffect(() => {
    if (!room) return;
    let missed = 0;
    let recovering = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ends = [
      room.on("message", () => {
        if (recovering) missed++;
      }),
      room.status.subscribe(({ state }) => {
        if (state === "recovering") recovering = true;
        if (state !== "joined" || !recovering) return;
        recovering = false;
        setCaughtUp(missed);
        missed = 0;
        clearTimeout(timer);
        timer = setTimeout(() => setCaughtUp(0), SAID_MS);
      }),
    ];
    return () => {
      clearTimeout(timer);
      setCaughtUp(0);
      for (const end of ends) end();
    };
  }, [room]);
  return caughtUp;
}
