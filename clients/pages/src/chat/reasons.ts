import type { ChorusError } from "chorus-client";
import { span } from "../ui/span.ts";

/** What was refused: the connection, a room, or what one does in it. */
type Refused = "connection" | "room" | "deed";

type Why = Pick<ChorusError, "code" | "message" | "retryAfterMs" | "closeCode">;

/** By the protocol's codes and close reasons, and what the client itself says. A reason that ends the connection ends all on it. */
const REASONS: Readonly<Record<string, Partial<Record<Refused, string>>>> = {
  auth_required: { connection: "the server got no sign-in" },
  auth_failed: { connection: "the server did not accept the sign-in" },
  auth_timeout: { connection: "the server got no sign-in" },
  token_expired: { connection: "the sign-in is over" },
  banned: { connection: "you were banned from this server" },
  kicked: { connection: "a moderator ended the connection" },
  rate_limited: { connection: "this page sent too much", deed: "that was too fast" },
  bad_request: { connection: "the server did not understand this page" },
  bad_room: { room: "no room can have this name" },
  forbidden: { room: "you may not be in this room", deed: "you may not write here" },
  too_large: { connection: "this page sent too much at once", room: "this room is full", deed: "it is too long" },
  not_found: { deed: "the server no longer has the message" },
  unavailable: { deed: "the server could not do it now" },
  queue_full: { deed: "too much waits to be sent" },
  closed: { room: "the connection ended before", deed: "the connection ended before" },
  lost: { deed: "the server that had it was lost" },
  timeout: { deed: "the server did not answer in time" },
  unknown: { deed: "the server did not answer: it may be done, or not" },
};

/** What the gateway puts before the words of the moderator who muted somebody. */
const MUTED = /^this user may not speak in this room for a while(: )?/;

/** Nobody means so long: it is until somebody lifts it. */
const FOR_EVER_MS = 365 * 86_400_000;

/** Why the server refused, with what a moderator said about it, and for how long. */
export function because({ code, message, retryAfterMs, closeCode }: Why, refused: Refused): string {
  const reasons = REASONS[code];
  const own = closeCode === undefined ? reasons?.[refused] : undefined;
  const words = own ?? reasons?.connection;
  if (words === undefined) {
    // A code by itself helps nobody.
    if (refused !== "connection" && closeCode === undefined) return message || code;
    return `the server ended the connection${message && message !== code ? `: ${message}` : ` (${code})`}`;
  }
  const isMute = code === "forbidden" && retryAfterMs !== undefined;
  const ends = (isMute || code === "banned") && retryAfterMs !== undefined && retryAfterMs < FOR_EVER_MS;
  const time = ends ? ` for ${span(Math.ceil(retryAfterMs / 1_000) * 1_000)}` : "";
  // Elsewhere the message is for developers.
  const said = isMute ? message.replace(MUTED, "") : words === reasons?.connection && message !== code ? message : "";
  return `${words}${time}${said && `: ${said}`}`;
}
