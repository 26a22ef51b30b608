import type { RoomStatus, Status } from "chorus-client";
import type { Tone } from "../ui/Badge.tsx";
import { because } from "./reasons.ts";

interface Words {
  readonly tone: Tone;
  /** Read out when it changes. */
  readonly text: string;
  /** What changes every second, and is only seen. */
  readonly tail?: string;
  /** Why, for who wants to know. */
  readonly why?: string;
  /** What one can do about it. */
  readonly help?: "connect" | "sign in";
}

/** Numbers of messages. */
export interface Traffic {
  /** Those that came in place of what was missed, lately. */
  readonly caughtUp?: number;
  /** Those that the server does not take, though it is there. */
  readonly heldUp?: number;
}

/** How the connection, and the room on it, stand. */
export function words(status: Status, room: RoomStatus | undefined, now: number, { caughtUp = 0, heldUp = 0 }: Traffic = {}): Words {
  switch (status.state) {
    case "idle":
      return { tone: "plain", text: "not connected" };
    case "connecting":
      return { tone: "warn", text: status.attempt === 0 ? "connecting…" : "reconnecting…" };
    case "offline":
      return { tone: "bad", text: "offline", tail: ": this device has no network" };
    case "waiting": {
      const seconds = Math.max(1, Math.ceil((status.retryAt - now) / 1_000));
      return { tone: "warn", text: "reconnecting", tail: ` in ${seconds} s`, why: status.reason, help: "connect" };
    }
    case "closed":
      return { tone: "bad", text: status.error ? because(status.error, "connection") : "signed out", help: "sign in" };
    case "connected":
      break;
  }
  if (room?.state === "joining") return { tone: "warn", text: "joining…", ...(room.error && { why: room.error.message }) };
  if (room?.state === "recovering") return { tone: "warn", text: "catching up…" };
  if (room?.state === "left" && room.error) return { tone: "bad", text: because(room.error, "room") };
  if (heldUp > 0) return { tone: "warn", text: "sending is held up", tail: `: ${heldUp.toLocaleString("en")} ${heldUp === 1 ? "waits" : "wait"}` };
  if (caughtUp > 0) return { tone: "good", text: `caught up: ${caughtUp.toLocaleString("en")} ${caughtUp === 1 ? "message" : "messages"}` };
  const way = status.transport === "sse" ? ", without a WebSocket" : "";
  return { tone: "good", text: "connected", tail: ` to ${status.node}${way}` };
}

/** What is said in the middle of a sentence, to stand by itself. */
export function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?)]$/.test(text) ? "" : "."}`;
}
