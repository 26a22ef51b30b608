/** A server that a test plays by hand: each WebSocket that the client makes, what it wrote, and what it is told. */
import { afterEach, beforeEach, vi } from "vitest";
import { connect, type Chat, type Options } from "../../src/index.ts";

export type Sent = Record<string, unknown> & { type: string; ref?: number };

export const LIMITS = {
  id_ttl_ms: 300_000,
  data_bytes: 1_000,
  frame_bytes: 2_000,
  json_depth: 4,
  requests_in_flight: 64,
  frames_per_second: 50,
  frame_burst: 100,
};

export class FakeSocket {
  static all: FakeSocket[] = [];
  static get last(): FakeSocket {
    return FakeSocket.all.at(-1)!;
  }

  readyState = 0;
  onopen?: () => void;
  onmessage?: (event: { data: unknown }) => void;
  onclose?: (event: { code: number; reason: string }) => void;
  readonly sent: Sent[] = [];
  closedWith: number | undefined;
  readonly url: string;
  readonly protocols: string | string[] | undefined;

  constructor(url: string, protocols?: string | string[]) {
    this.url = url;
    this.protocols = protocols;
    FakeSocket.all.push(this);
  }

  send(text: string) {
    this.sent.push(JSON.parse(text) as Sent);
  }

  close(code: number) {
    this.closedWith = code;
    this.readyState = 3;
  }

  open() {
    this.readyState = 1;
    this.onopen?.();
  }

  tell(frame: object) {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }

  welcome(limits: object = {}) {
    this.tell({ type: "welcome", session: "s/1", user: "alice", node: "n1", heartbeat_ms: 30_000, limits: { ...LIMITS, ...limits } });
  }

  up(limits: object = {}) {
    this.open();
    this.welcome(limits);
  }

  end(code: number, reason = "") {
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }

  of(type: string): Sent[] {
    return this.sent.filter((frame) => frame.type === type);
  }

  /** Answers the last frame of a type. */
  ok(type: string, fields: object = {}) {
    const { ref, room } = this.of(type).at(-1)!;
    this.tell({ type: "ok", ref, room, ...fields });
  }

  refuse(type: string, code: string, fields: object = {}) {
    this.tell({ type: "error", ref: this.of(type).at(-1)!.ref, code, message: `it is ${code}`, ...fields });
  }

  /** Answers the last join: the room stands at `seq`, and nothing is replayed. */
  joined(seq = 0, fields: object = {}) {
    this.ok("join", { epoch: "e", seq, head: seq, recovered: false, count: 0, members: [{ user: "alice" }], markers: [], ...fields });
  }

  message(seq: number, fields: object = {}) {
    this.tell({ type: "message", room: "lobby", epoch: "e", seq, at: 1, from: "bob", data: seq, ...fields });
  }
}

/** A client of it, with a token and only a WebSocket, unless said otherwise. */
export function client(options: Options = {}, url = "ws://chorus.test/ws"): Chat {
  FakeSocket.all = [];
  const WebSocket = FakeSocket as unknown as NonNullable<Options["WebSocket"]>;
  return connect(url, { token: "t0", WebSocket, transports: ["websocket"], ...options });
}

/** In every test of a file the clock goes by hand, and so does chance where it is said: 0.999… is the longest backoff. */
export function byHand(luck?: number): void {
  beforeEach(() => {
    vi.useFakeTimers();
    if (luck !== undefined) chance(luck);
  });
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
    vi.useRealTimers();
  });
}

/** Lets promises go on, and timers that are due. */
export async function settle(ms = 0): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

/** Fixes what chance decides. */
export function chance(value: number) {
  vi.spyOn(Math, "random").mockReturnValue(value);
}

/** A client in a room. */
export async function inLobby(options: Options = {}, limits: object = {}) {
  const chat = client(options);
  const room = chat.join("lobby");
  await settle();
  FakeSocket.last.up(limits);
  FakeSocket.last.joined();
  return { chat, room, socket: FakeSocket.last };
}

/** The next socket that the client makes, whenever that is. */
export async function next(): Promise<FakeSocket> {
  const before = FakeSocket.all.length;
  while (FakeSocket.all.length === before) await settle(10);
  return FakeSocket.last;
}

/** Loses the connection, and has it back in the room at `seq`. */
export async function cut(seq: number, fields: object = {}) {
  FakeSocket.last.end(1006);
  await next();
  FakeSocket.last.up();
  FakeSocket.last.joined(seq, { recovered: true, ...fields });
}

/** Has the connection back at once, however long it was away. */
export async function back(chat: Chat, fields: object = {}) {
  chat.reconnect();
  await settle();
  FakeSocket.last.up();
  FakeSocket.last.joined(0, { recovered: true, ...fields });
}

/** What became of a promise until now. */
export function fate<T>(promise: Promise<T>): { value?: T; code?: string; error?: unknown } {
  const seen: { value?: T; code?: string; error?: unknown } = {};
  promise.then(
    (value) => (seen.value = value),
    (error: { code: string }) => Object.assign(seen, { code: error.code, error }),
  );
  return seen;
}
