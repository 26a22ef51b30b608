/** Where no WebSocket comes up. The stream and what is posted beside it are played by hand; the fault suite has real ones. */
import { describe, expect, it, vi } from "vitest";
import type { Options } from "../../src/index.ts";
import { byHand, chance, client, FakeSocket, fate, LIMITS, settle } from "./server.ts";

byHand();

interface Call {
  readonly url: URL;
  readonly headers: Record<string, string>;
  readonly body: Record<string, unknown> | undefined;
  readonly signal: AbortSignal;
  readonly credentials: string | undefined;
  answer(response: Response): Promise<void>;
}

const calls: Call[] = [];
const http: typeof fetch = (url, { headers, body, signal, credentials }: RequestInit = {}) =>
  new Promise((resolve, reject) => {
    signal!.addEventListener("abort", () => reject(signal!.reason));
    const answer = (response: Response) => {
      resolve(response);
      return settle();
    };
    const parsed = body ? (JSON.parse(body as string) as Call["body"]) : undefined;
    calls.push({ url: new URL(url as URL), headers: headers as Record<string, string>, body: parsed, signal: signal!, credentials, answer });
  });

const last = () => calls.at(-1)!;
const problem = (status: number, fields: object) => new Response(JSON.stringify(fields), { status });

/** A stream that a test writes. */
async function stream(call: Call) {
  let control!: ReadableStreamDefaultController<Uint8Array>;
  const body = new ReadableStream<Uint8Array>({ start: (given) => void (control = given) });
  await call.answer(new Response(body));
  const send = (bytes: Uint8Array) => {
    control.enqueue(bytes);
    return settle();
  };
  const write = (text: string) => send(new TextEncoder().encode(text));
  const tell = (frame: object) => write(`data: ${JSON.stringify(frame)}\nid: x\n\n`);
  return {
    send,
    write,
    tell,
    welcome: () => tell({ type: "welcome", session: "s/1", user: "alice", node: "n1", heartbeat_ms: 30_000, limits: LIMITS }),
    ok: (room: string, seq = 0, fields: object = {}) => tell({ type: "ok", room, epoch: "e", seq, head: seq, recovered: false, count: 0, members: [], ...fields }),
    end: () => {
      control.close();
      return settle();
    },
  };
}

async function begin(options: Options = {}, ...rooms: string[]) {
  calls.length = 0;
  const chat = client({ transports: ["sse"], fetch: http, ...options });
  for (const room of rooms) chat.join(room);
  // The link is a module of its own, and loading it takes no time of the fake clock.
  await vi.dynamicImportSettled();
  await settle(20);
  return chat;
}

describe("an event stream", () => {
  it("carries the rooms, and posts go beside it; the token is in no address", async () => {
    const chat = await begin({}, "lobby", "garden");
    expect(last().url.href).toBe("http://chorus.test/v1/events?room=lobby&room=garden");
    expect(last().headers).toEqual({ accept: "text/event-stream", authorization: "Bearer t0" });
    expect(chat.status.value.state).toBe("connecting");
    const { welcome, ok, tell } = await stream(last());
    await welcome();
    expect(chat.status.value).toMatchObject({ state: "connected", transport: "sse", user: "alice" });
    await ok("lobby");
    await ok("garden");
    const room = chat.room("lobby")!;
    expect(room.status.value.state).toBe("joined");
    const sent = room.send("hello", { id: "i1" });
    await settle();
    expect([last().url.href, last().body]).toEqual(["http://chorus.test/v1/frames", { type: "message", room: "lobby", data: "hello", id: "i1", ref: expect.any(Number) }]);
    await last().answer(new Response(JSON.stringify({ type: "ok", ref: last().body!.ref, room: "lobby", epoch: "e", seq: 1, duplicate: false })));
    expect(await sent).toMatchObject({ seq: 1 });
    await tell({ type: "message", room: "lobby", epoch: "e", seq: 1, at: 1, from: "alice", id: "i1", data: "hello" });
    expect(room.position).toEqual({ epoch: "e", seq: 1 });
  });

  it("is made anew where it stands for another room, for a new token, and without a room that was left", async () => {
    let count = 0;
    const chat = await begin({ token: undefined, getToken: () => `t${++count}` } as never, "lobby");
    const first = last();
    const { welcome, ok } = await stream(first);
    await welcome();
    await ok("lobby", 7);
    chat.join("garden", { since: { epoch: "g", seq: 3 }, recent: 5 });
    await settle(20);
    expect(first.signal.aborted).toBe(true);
    expect(last().url.search).toBe("?room=lobby&room=garden&recent=5");
    expect(last().headers["last-event-id"]).toBe("lobby~e~7,garden~g~3");
    const second = await stream(last());
    await second.welcome();
    await second.ok("lobby", 7, { recovered: true });
    await second.ok("garden", 3, { epoch: "g", recovered: true });
    expect(chat.room("garden")!.status.value).toMatchObject({ state: "joined", recovered: true });
    await second.tell({ type: "expiring", in_ms: 30_000 });
    await settle(20);
    expect(last().headers).toMatchObject({ authorization: "Bearer t2", "last-event-id": "lobby~e~7,garden~g~3" });
    chat.room("lobby")!.leave();
    await settle(20);
    expect(last().url.search).toBe("?room=garden&recent=5");
  });

  it("is read however it is cut, and its comments are signs of life", async () => {
    const chat = await begin({}, "lobby");
    const { welcome, ok, write, send } = await stream(last());
    await welcome();
    await ok("lobby");
    const seen: unknown[] = [];
    chat.room("lobby")!.on("message", ({ data }) => seen.push(data));
    const text = 'data: {"type":"message","room":"lobby","epoch":"e","seq":1,\ndata: "from":"bob","data":"é"}\n\n';
    for (const byte of new TextEncoder().encode(text)) await send(new Uint8Array([byte]));
    expect(seen).toEqual(["é"]);
    for (let beat = 0; beat < 4; beat++) {
      await settle(29_000);
      await write(":\n");
    }
    expect(chat.status.value.state).toBe("connected");
    await settle(120_000);
    expect(chat.status.value.state).not.toBe("connected");
  });

  it("is made anew to find out whether it is alive", async () => {
    const chat = await begin({}, "lobby");
    const { welcome, ok } = await stream(last());
    await welcome();
    await ok("lobby", 7);
    chat.reconnect();
    await settle(20);
    expect(last().headers["last-event-id"]).toBe("lobby~e~7");
    const again = await stream(last());
    await again.welcome();
    await settle(10_000);
    expect([chat.status.value.state, calls.length]).toEqual(["connected", 2]);
    chat.reconnect();
    await settle(5_000);
    expect(chat.status.value).toMatchObject({ state: "waiting", reason: "heartbeat_timeout" });
  });

  it("ends with the code that a socket would be closed with", async () => {
    for (const [response, state, code] of [
      [problem(401, { code: "auth_failed" }), "closed", "auth_failed"],
      [problem(401, { code: "token_expired" }), "closed", "token_expired"],
      [problem(503, { code: "unavailable", retry_after_ms: 4_000 }), "waiting", "unavailable"],
      [problem(429, { code: "rate_limited" }), "waiting", "rate_limited"],
      [new Response("<h1>Bad Gateway</h1>", { status: 502 }), "waiting", "unavailable"],
    ] as const) {
      const chat = await begin({}, "lobby");
      await last().answer(response);
      const status = chat.status.value;
      expect([status.state, status.state === "closed" ? status.error!.code : (status as { reason?: string }).reason]).toEqual([state, code]);
      if (response.status === 503 && status.state === "waiting") expect(status.retryAt - Date.now()).toBe(4_000);
    }
    const chat = await begin({}, "lobby");
    const { welcome, tell, end } = await stream(last());
    await welcome();
    await tell({ type: "closing", code: 1008, reason: "kicked", message: "go home" });
    await end();
    expect(chat.status.value).toMatchObject({ state: "closed", error: { code: "kicked", message: "go home" } });
  });

  it("leaves out a room that is refused, and goes on with the others", async () => {
    const chat = await begin({}, "lobby", "secret");
    const [lobby, secret] = [chat.room("lobby")!, chat.room("secret")!];
    await last().answer(problem(403, { code: "forbidden" }));
    await last().answer(new Response(JSON.stringify({ type: "ok", events: [], more: false })));
    expect(last().body).toMatchObject({ type: "history", room: "secret" });
    await last().answer(problem(403, { code: "forbidden", detail: "not yours" }));
    expect(secret.status.value).toMatchObject({ state: "left", error: { code: "forbidden", message: "not yours" } });
    expect(last().url.search).toBe("?room=lobby");
    const { welcome, ok } = await stream(last());
    await welcome();
    await ok("lobby");
    expect(lobby.status.value.state).toBe("joined");
  });

  it("takes eight rooms, and the ninth when there is place", async () => {
    const names = Array.from({ length: 9 }, (_, n) => `r${n}`);
    const chat = await begin({}, ...names);
    const { welcome, ok } = await stream(last());
    await welcome();
    for (const name of names.slice(0, 8)) await ok(name);
    expect(chat.room("r8")!.status.value.state).toBe("joining");
    chat.room("r0")!.leave();
    await settle(30_100);
    expect(last().url.searchParams.getAll("room")).toContain("r8");
  });

  it("takes a post that was not answered for one that may have arrived", async () => {
    const chat = await begin({}, "lobby");
    const { welcome, ok } = await stream(last());
    await welcome();
    await ok("lobby");
    const one = fate(chat.room("lobby")!.send(1, { id: "i1" }));
    await settle(10_000);
    expect(one).toEqual({});
    await settle(300);
    expect(calls.filter(({ body }) => body?.id === "i1").length).toBe(2);
  });

  it("is paced as the server's own welcome says", async () => {
    const chat = await begin({}, "lobby");
    const { tell, ok } = await stream(last());
    await tell({ type: "welcome", session: "s/1", user: "alice", node: "n1", heartbeat_ms: 30_000, limits: { ...LIMITS, frames_per_second: 10, frame_burst: 4 } });
    await ok("lobby");
    const posted = () => calls.filter(({ body }) => body?.type === "history");
    for (let n = 0; n < 5; n++) void chat.room("lobby")!.history();
    await settle();
    expect(posted().length).toBe(2);
    for (const call of posted()) await call.answer(new Response(JSON.stringify({ type: "ok", events: [], more: false })));
    await settle(99);
    expect(posted().length).toBe(2);
    await settle(1);
    expect(posted().length).toBe(3);
  });

  it("sends cookies when there is no token", async () => {
    await begin({ token: undefined } as never, "lobby");
    expect([last().credentials, last().headers.authorization]).toEqual(["include", undefined]);
  });
});

describe("which transport", () => {
  it("is the next after one did not come up twice in a row, and the first again after that was lost", async () => {
    chance(0.1);
    const chat = await begin({ transports: ["websocket", "sse"] }, "lobby");
    FakeSocket.last.end(1006);
    await settle(25);
    expect([FakeSocket.all.length, calls.length]).toEqual([2, 0]);
    FakeSocket.last.end(1006);
    await settle(50);
    await vi.dynamicImportSettled();
    await settle(30);
    expect([FakeSocket.all.length, calls.length]).toEqual([2, 1]);
    const { welcome, end } = await stream(last());
    await welcome();
    expect(chat.status.value).toMatchObject({ state: "connected", transport: "sse" });
    await end();
    await settle(100);
    expect([FakeSocket.all.length, calls.length]).toEqual([3, 1]);
  });

  it("is the next after one that throws", async () => {
    chance(0.1);
    const WebSocket = class {
      constructor() {
        throw new Error("mixed content");
      }
    } as never;
    const chat = await begin({ transports: ["websocket", "sse"], WebSocket }, "lobby");
    expect(chat.status.value).toMatchObject({ state: "waiting", reason: "Error: mixed content" });
    await settle(100);
    await vi.dynamicImportSettled();
    await settle(30);
    expect(last().url.pathname).toBe("/v1/events");
  });

  it("is the event stream where there is no WebSocket", async () => {
    vi.stubGlobal("WebSocket", undefined);
    await begin({ transports: ["websocket", "sse"], WebSocket: undefined } as never, "lobby");
    expect(last().url.pathname).toBe("/v1/events");
  });
});
