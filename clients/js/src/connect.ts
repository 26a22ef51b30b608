/** One connection and the rooms on it. */
import { connection } from "./connection.ts";
import { ChorusError, errorOf } from "./errors.ts";
import { hub } from "./observable.ts";
import { membership, type Membership } from "./room.ts";
import type { Chat, ChatEvents, Options } from "./types.ts";

/** After the last room is left: a page that shows another room at once keeps the connection. */
const LINGER_MS = 5_000;

/**
 * Gives a client; it connects when the first room is joined. `url` is `ws(s):` or `http(s):`, or relative to the page; without a path it
 * is `/ws`. Throws a `TypeError` when it is no URL, or when none of the transports can be had here.
 */
export function connect(url: string | URL, options: Options = {}): Chat {
  const address = new URL(url, globalThis.location?.href);
  address.protocol = address.protocol.replace("http", "ws");
  if (address.pathname === "/") address.pathname = "/ws";
  const rooms = new Map<string, Membership>();
  const events = hub<ChatEvents>();
  const quota = { messages: options.queue?.messages ?? 1_000, bytes: options.queue?.bytes ?? 1_048_576 };
  let linger: ReturnType<typeof setTimeout> | undefined;
  let closed = false;

  const each = (act: (room: Membership) => void) => [...rooms.values()].forEach(act);
  const wire = connection(address, options, events, {
    onUp: () => each((room) => room.up()),
    onDown: () => each((room) => room.down()),
    onFrame(frame) {
      const { room, type } = frame;
      const to = rooms.get(room!) ?? (room === `@${wire.user}` ? rooms.get("@me") : undefined);
      if (to) to.take(frame);
      else if (type === "error") events.emit("error", errorOf(frame));
    },
  });
  wire.status.subscribe((status) => {
    if (status.state !== "closed") return;
    closed = true;
    each((room) => room.end(status.error));
  });

  return {
    status: wire.status,
    get user() {
      return wire.user;
    },
    join(name, how = {}) {
      const joined = rooms.get(name);
      if (joined) return joined.room;
      clearTimeout(linger);
      const mine: Membership = membership(name, how, wire, quota, () => {
        rooms.delete(name);
        if (!rooms.size && !closed) linger = setTimeout(() => wire.end({ state: "idle" }), LINGER_MS);
      });
      rooms.set(name, mine);
      if (closed) mine.end(new ChorusError("closed", "the client was closed"));
      else if (wire.status.value.state === "idle") wire.hurry();
      else if (wire.isUp) mine.up();
      return mine.room;
    },
    room: (name) => rooms.get(name)?.room,
    reconnect: () => closed || wire.hurry(),
    close() {
      clearTimeout(linger);
      if (!closed) wire.end({ state: "closed" });
    },
    on: events.on,
  };
}
