/** The server's end of sockets that go nowhere: one room's log, told to whoever joined, at once. What a component does with real time and a real network, `clients/tests` looks at. */
import type { Options } from "../../src/types.ts";

type Frame = { readonly type: string } & Readonly<Record<string, unknown>>;

export class Server {
  /** Every socket that was ever opened. */
  readonly sockets: Socket[] = [];
  readonly log: Frame[] = [];
  /** Frames of this type are read, and answered no more. */
  deafTo = "";

  /** What makes a client connect here: a new object each time. */
  options(extra: Options = {}): Options {
    const server = this;
    return {
      token: "alice",
      transports: ["websocket"],
      WebSocket: class {
        constructor() {
          return new Socket(server);
        }
      } as unknown as NonNullable<Options["WebSocket"]>,
      ...extra,
    };
  }

  get open(): Socket[] {
    return this.sockets.filter((socket) => socket.readyState === 1);
  }

  /** The frames of this type that clients have sent. */
  heard(type: string): Frame[] {
    return this.sockets.flatMap((socket) => socket.heard.filter((frame) => frame.type === type));
  }

  say(data: unknown, from = "bob", id?: unknown): Frame {
    const event = { type: "message", room: "lobby", epoch: "a.0", seq: this.log.length + 1, at: Date.now(), from, id, data };
    this.log.push(event);
    this.tell(event);
    return event;
  }

  tell(frame: Frame): void {
    for (const socket of this.open) if (socket.rooms.has(String(frame.room))) socket.get(frame);
  }
}

export class Socket {
  readonly #server: Server;
  readonly heard: Frame[] = [];
  readonly rooms = new Set<string>();
  readyState = 0;
  onopen?: () => void;
  onmessage?: (event: { data: string }) => void;
  onclose?: (event: { code: number; reason: string }) => void;

  constructor(server: Server) {
    this.#server = server;
    server.sockets.push(this);
    queueMicrotask(() => {
      this.readyState = 1;
      this.onopen?.();
    });
  }

  get(frame: Frame): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }

  send(text: string): void {
    const frame = JSON.parse(text) as Frame;
    this.heard.push(frame);
    queueMicrotask(() => this.#answer(frame));
  }

  close(): void {
    this.readyState = 3;
  }

  #answer({ type, ref, room, recent, before, limit, data, id, token }: Frame): void {
    const { log } = this.#server;
    if (type === this.#server.deafTo) return;
    const head = log.length;
    const ok = (answer: object) => this.get({ type: "ok", ref, room, ...answer });
    if (type === "auth") this.get({ type: "welcome", user: token, node: "n", session: "s", heartbeat_ms: 60_000, limits: undefined });
    if (type === "join") {
      const count = Math.min(head, Number(recent ?? 0));
      this.rooms.add(String(room));
      ok({ epoch: "a.0", seq: head - count, head, recovered: false, count, members: [{ user: "alice" }] });
      for (const event of log.slice(head - count)) this.get(event);
    }
    if (type === "leave") this.rooms.delete(String(room));
    if (type === "message") {
      this.#server.say(data, "alice", id);
      ok({ epoch: "a.0", seq: log.length, id, duplicate: false });
    }
    if (type === "history") {
      const all = log.slice(0, Number(before) - 1);
      ok({ events: all.slice(-Number(limit)), more: all.length > Number(limit) });
    }
  }
}
