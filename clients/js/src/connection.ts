/** One connection that comes back. It knows tokens, transports, close codes and heartbeats, and nothing of rooms. */
import { backoff } from "./backoff.ts";
import { isFinal } from "./codes.ts";
import { ChorusError, errorOf } from "./errors.ts";
import { inTime } from "./insist.ts";
import { cell, type Cell, type Hub } from "./observable.ts";
import { DEFAULT_LIMITS, pace } from "./pace.ts";
import { socketLink } from "./socket.ts";
import { isOffline, watch } from "./surroundings.ts";
import type { ChatEvents, Options, Status, TokenReason } from "./types.ts";
import type { Frame, Link, LinkEvents, Request, Wire } from "./wire.ts";

/** From the first byte to `welcome`. */
const HANDSHAKE_MS = 10_000;
/** A sign of life, once it was asked for. */
const PONG_MS = 5_000;
/** A connection that held for so long was a good one: the next backoff begins anew. */
const GOOD_AFTER_MS = 5_000;

const loadStream = () => import("./stream.ts");

export interface Connection extends Wire {
  readonly status: Cell<Status>;
  /** Whether joins are taken. */
  readonly isUp: boolean;
  /** Tries at once, unless a connection is there or on its way. */
  hurry(): void;
  /** Ends the connection, with the error that ended it, or until `hurry`. */
  end(status: Status): void;
}

export interface ConnectionEvents {
  /** Joins are taken from now on. */
  onUp(): void;
  onDown(): void;
  /** What answers no request of the connection's own. */
  onFrame(frame: Frame): void;
}

export function connection(address: URL, options: Options, events: Hub<ChatEvents>, on: ConnectionEvents): Connection {
  const { getToken, transports = ["websocket", "sse"], timeout = HANDSHAKE_MS } = options;
  const Socket = options.WebSocket ?? globalThis.WebSocket;
  const ways = transports.filter((way) => way === "sse" || Socket);
  if (!ways.length) throw new TypeError("no transport: give options.WebSocket or allow \"sse\"");
  const socket = (from: LinkEvents) => socketLink(Socket, address.href, from);
  const status = cell<Status>({ state: "idle" });
  const requests = pace((frame) => write(frame));
  let limits = DEFAULT_LIMITS;
  let user: string | undefined;
  let link: Link | undefined;
  let way = 0;
  /** Something came that way, so it is one. */
  let opened = false;
  let isUp = false;
  /** What was begun for an earlier turn is not gone on with. */
  let turn = 0;
  let failures = 0;
  let token = options.token;
  let tokenReason: TokenReason = "first";
  /** The server took this token once: that it does not any more can be helped by another. */
  let proven = false;
  let closing: Frame | undefined;
  let heartbeat = 0;
  let heard = false;
  let quiet: ReturnType<typeof setTimeout> | undefined;
  let next: ReturnType<typeof setTimeout> | undefined;
  let unwatch: (() => void) | undefined;

  const write = (frame: Request) => {
    // A token is nobody's to draw or to log.
    if (events.wants("frame")) events.emit("frame", { out: true, text: JSON.stringify({ ...frame, token: undefined }) });
    link?.send(frame);
  };

  const open = async () => {
    let mine = ++turn;
    clearTimeout(next);
    unwatch ??= watch(hurry, offline);
    status.set({ state: "connecting", attempt: failures });
    // Who was told may have closed all this.
    if (mine !== turn) return;
    if (getToken && token === undefined) {
      try {
        // Over a network that is half there, what was asked for a token may never be answered.
        token = await inTime(timeout, () => getToken(tokenReason));
      } catch (cause) {
        if (mine === turn) refused(cause);
        return;
      }
      if (mine !== turn) return;
      proven = false;
    }
    const from = {
      onOpen: () => token && write({ type: "auth", token }),
      onFrame(frame: Frame) {
        if (mine !== turn) return;
        if (events.wants("frame")) events.emit("frame", { out: false, text: JSON.stringify(frame) });
        if (mine === turn) take(frame);
      },
      onClose: (code: number, reason: string) => mine === turn && lost(code, reason),
    };
    /** A WebSocket that came up beside a stream takes its place: the rooms go on over it from where they stand. */
    const move = (to: Link) => {
      mine = drop(to);
      way = 0;
    };
    listen(HANDSHAKE_MS, true);
    try {
      if (ways[way] === "websocket") {
        link = socket(from);
      } else {
        // Few need it, so it is loaded apart.
        const { streamLink } = await loadStream();
        if (mine === turn) link = streamLink(address, token, options.fetch ?? fetch, from, way > 0 && { socket, move });
      }
    } catch (cause) {
      // A page may be kept from either: by its policy, by mixed content, or by a network that is away.
      if (mine === turn) lost(1006, String(cause));
    }
  };

  /** No token was to be had. */
  const refused = (cause: unknown) => {
    const message = `getToken: ${cause instanceof Error ? cause.message : cause}`;
    if ((cause as { fatal?: unknown } | undefined)?.fatal === true) fail(new ChorusError("auth_failed", message, { cause }));
    else retry(message);
  };

  const take = (frame: Frame) => {
    heard = true;
    opened ||= frame.node !== undefined || frame.type !== "welcome";
    if (frame.type === "welcome") welcomed(frame);
    else if (frame.type === "expiring") void renew();
    else if (frame.type === "closing") {
      closing = frame;
      const { code, reason, retry_after_ms: retryAfterMs, message } = frame as { code: number; reason: string } & Frame;
      events.emit("closing", { code, reason, ...(retryAfterMs && { retryAfterMs }), ...(message && { message }) });
    } else if (frame.ref !== undefined) requests.answer(frame);
    else if (frame.type !== "pong") on.onFrame(frame);
  };

  const welcomed = ({ user: name, node, session, limits: told, heartbeat_ms }: Frame) => {
    limits = told ?? limits;
    if (node !== undefined) {
      user = name;
      proven = true;
      // A stream has a sign of life that often, and a socket is asked for one.
      heartbeat = ways[way] === "sse" ? 2 * heartbeat_ms! : heartbeat_ms!;
      listen(heartbeat);
      clearTimeout(next);
      next = setTimeout(() => (failures = 0), GOOD_AFTER_MS);
      const mine = turn;
      status.set({ state: "connected", transport: ways[way]!, user: user!, node, session: session! });
      if (mine !== turn) return;
      // A browser does not try a module again that it could not load once: so not first when the network is bad.
      if (ways.includes("sse")) void loadStream().catch(() => {});
    }
    // Of a stream the first is the link's own, and says nothing: what the server takes comes with the next.
    requests.open(limits);
    if (isUp) return;
    isUp = true;
    on.onUp();
  };

  /** Answers `expiring`. What does not succeed in time is asked again after 4401. */
  const renew = async () => {
    const mine = turn;
    for (let failed = 0; getToken && mine === turn; failed++) {
      try {
        token = await inTime(timeout, () => getToken("renew"));
        break;
      } catch {
        await new Promise((go) => setTimeout(go, backoff(failed)));
      }
    }
    if (!getToken || mine !== turn) return;
    requests.ask(
      () => ({ type: "auth", token: token! }),
      (answer) => answer?.type === "error" && events.emit("error", errorOf(answer)),
    );
  };

  /** Ends a connection that was silent for so long: a dead one makes no sound, and a page can't see the server's pings. */
  const listen = (ms: number, last?: boolean) => {
    clearTimeout(quiet);
    heard = false;
    quiet = setTimeout(() => {
      if (heard) listen(heartbeat || HANDSHAKE_MS, !heartbeat);
      else if (last) lost(1006, "heartbeat_timeout");
      else probe();
    }, ms);
  };

  /** Asks for a sign of life. */
  const probe = () => {
    listen(PONG_MS, true);
    write({ type: "ping" });
  };

  const lost = (code: number, reason: string) => {
    const { retry_after_ms: after, reason: told, message } = closing ?? {};
    const why = reason || told || (code === 1006 ? "connection lost" : `closed with ${code}`);
    const expired = code === 4401 || (why === "auth_failed" && proven);
    way = opened || expired ? 0 : (way + 1) % ways.length;
    const mine = drop();
    // Who was told may have closed all this, or begun anew.
    if (mine !== turn) return;
    if (expired) {
      // The server is there, and a new token is all that is missing. It is asked for at once, but only once.
      if (proven) failures = 0;
      proven = false;
      tokenReason = "expired";
      if (getToken) token = undefined;
    }
    if (expired ? token !== undefined : isFinal(code)) {
      fail(new ChorusError(why, message, { retryAfterMs: after, closeCode: code }));
    } else retry(why, after);
  };

  const drop = (to?: Link) => {
    const mine = ++turn;
    clearTimeout(quiet);
    clearTimeout(next);
    link?.close();
    link = to;
    closing = undefined;
    heartbeat = 0;
    opened = isUp = false;
    requests.shut();
    on.onDown();
    return mine;
  };

  const retry = (reason: string, after = 0) => {
    if (isOffline()) return status.set({ state: "offline" });
    const { base, cap } = options.backoff ?? {};
    const wait = Math.max(after, backoff(failures++, base, cap));
    next = setTimeout(open, wait);
    status.set({ state: "waiting", attempt: failures, retryAt: Date.now() + wait, reason });
  };

  const fail = (error: ChorusError) => end({ state: "closed", error });

  const end = (value: Status) => {
    unwatch?.();
    unwatch = undefined;
    if (drop() === turn) status.set(value);
  };

  const hurry = () => {
    const { state } = status.value;
    if (state === "connected") probe();
    else if (state !== "connecting") void open();
  };

  /** A connection that still stands is asked, rather than believed to be gone. */
  const offline = () => {
    const { state } = status.value;
    if (state === "connected") return probe();
    if (drop() === turn) status.set({ state: "offline" });
  };

  return {
    status,
    hurry,
    end,
    timeout,
    ask: requests.ask,
    hold: requests.hold,
    get isUp() {
      return isUp;
    },
    get user() {
      return user;
    },
    get limits() {
      return limits;
    },
  };
}
