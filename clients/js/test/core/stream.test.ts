/** Where no WebSocket comes up. The stream and what is posted beside it are played by hand; the fault suite has real ones. */
import { describe, expect, it, vi } from "vitest";
import type { Chat, Options } from "../../src/index.ts";
import { byHand, chance, client, FakeSocket, fate, LIMITS, settle } from "./server.ts";

byHand();

interface Call {
  readonly url: URL;
  readonly headers: Record<string, string>;
  readonly body: Record<string, unknown> | undefined;
  readonly signal: AbortSignal;
  readonly credentials: string | undefined;
  answer(response: Response): Promise<void>;
  /** Nobody answers. */
  fail(): Promise<void>;
}

const calls: Call[] = [];
const http: typeof fetch = (url, { headers, body, signal, credentials }: RequestInit = {}) =>
  new Promise((resolve, reject) => {
    signal!.addEventListener("abort", () => reject(signal!.reason));
    const answer = (response: Response) => {
      resolve(response);
      return settle();
    };
    const fail = () => {
      reject(new TypeError("fetch failed"));
      return settle();
    };
    const parsed = body ? (JSON.parse(body as string) as Call["body"]) : undefined;
    calls.push({ url: new URL(url as URL), headers: headers as Record<string, string>, body: parsed, signal: signal!, credentials, answer, fail });
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

  it("has the newest room wait when one is full, and keeps the others", async () => {
    const chat = await begin({}, "lobby", "full");
    await last().answer(problem(413, { code: "too_large", detail: "the room is full", retry_after_ms: 10_000 }));
    expect(last().url.search).toBe("?room=lobby");
    const { welcome, ok } = await stream(last());
    await welcome();
    await ok("lobby");
    expect([chat.room("lobby")!.status.value.state, chat.room("full")!.status.value]).toMatchObject(["joined", { state: "joining", error: { code: "too_large" } }]);
    await settle(10_000);
    await settle(1_000);
    expect(last().url.searchParams.getAll("room")).toEqual(["lobby", "full"]);
  });

  it("does not leave out a room for what passes, or for what stands in between", async () => {
    for (const answer of [problem(429, { code: "rate_limited", detail: "slower" }), problem(500, { code: "internal", detail: "a bug" }), new Response("<h1>Forbidden</h1>", { status: 403 })]) {
      const chat = await begin({}, "lobby");
      await last().answer(problem(403, { code: "forbidden", detail: "not yours" }));
      expect(last().body).toMatchObject({ type: "history", room: "lobby" });
      await last().answer(answer);
      expect([chat.room("lobby")!.status.value.state, chat.status.value.state]).toEqual(["joining", "waiting"]);
    }
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

const BOTH = { transports: ["websocket", "sse"] } as const;
const paths = () => calls.map(({ url }) => url.pathname);

/** Waits until something is so; the module of streams is loaded meanwhile, which takes no time of the fake clock. */
async function until(what: () => boolean) {
  for (let waited = 0; !what(); waited += 50) {
    if (waited > 60_000) throw new Error(`it does not come to pass: ${what}`);
    await vi.dynamicImportSettled();
    await settle(50);
  }
}

/** The server's answer to whether it is there: it is, and does not take that. */
const there = () => last().answer(problem(400, { code: "unknown_type" }));

/** The next time that the client asks whether the server is there. */
async function asked() {
  const before = calls.length;
  await until(() => calls.length > before);
  expect([last().url.pathname, last().body]).toEqual(["/v1/frames", { type: "ping" }]);
}

/** A client that has come to its stream, for no WebSocket came up. */
async function blocked(...rooms: string[]) {
  const chat = await begin(BOTH, ...rooms);
  FakeSocket.last.end(1006);
  await asked();
  await there();
  FakeSocket.last.end(1006);
  await until(() => last().url.pathname === "/v1/events");
  const events = await stream(last());
  await events.welcome();
  for (const room of rooms.slice(0, 8)) await events.ok(room);
  expect(chat.status.value).toMatchObject({ state: "connected", transport: "sse" });
  expect(FakeSocket.all.length).toBe(2);
  return { chat, events, request: last() };
}

/** Passes the time until the next WebSocket, and says how long it was. */
async function nextSocket(): Promise<number> {
  const [before, began] = [FakeSocket.all.length, Date.now()];
  while (FakeSocket.all.length === before) {
    if (Date.now() - began > 1_200_000) throw new Error("no WebSocket is tried");
    await settle(100);
  }
  return Date.now() - began;
}

const states = (chat: Chat, rooms: string[]) => rooms.map((name) => chat.room(name)!.status.value.state);

describe("which transport", () => {
  it("is the event stream where the server answers and then again no WebSocket comes up, and the first again after that was lost", async () => {
    chance(0.1);
    const { chat, events } = await blocked("lobby");
    await events.end();
    await settle(100);
    expect([FakeSocket.all.length, chat.status.value.state]).toEqual([3, "connecting"]);
    FakeSocket.last.up();
    expect(chat.status.value).toMatchObject({ state: "connected", transport: "websocket" });
    expect(paths()).toEqual(["/v1/frames", "/v1/events"]);
  });

  // Clients that were at their turn for a stream when the server came back took it, and stayed there.
  it("is not decided by a server that is away", async () => {
    chance(0.1);
    const chat = await begin(BOTH, "lobby");
    for (const away of [
      () => last().fail(),
      () => last().answer(new Response("<h1>Bad Gateway</h1>", { status: 502 })),
      () => last().answer(problem(503, { code: "unavailable", retry_after_ms: 4_000 })),
      () => last().answer(problem(429, { code: "rate_limited", retry_after_ms: 4_000 })),
      // Whoever wants to be signed in to the network first.
      () => last().answer(new Response("<h1>Welcome</h1>")),
      () => last().answer(new Response("<h1>Forbidden</h1>", { status: 403 })),
      () => settle(10_000),
    ]) {
      const sockets = FakeSocket.all.length;
      FakeSocket.last.end(1006);
      await asked();
      await away();
      const { value } = chat.status;
      expect(value.state).toBe("waiting");
      if (value.state === "waiting" && /unavailable|rate_limited/.test(value.reason)) expect(value.retryAt - Date.now()).toBe(4_000);
      await until(() => FakeSocket.all.length > sockets);
    }
    // It comes back when it was the turn of the question.
    FakeSocket.last.end(1006);
    await asked();
    const sockets = FakeSocket.all.length;
    await there();
    expect(FakeSocket.all.length).toBe(sockets + 1);
    FakeSocket.last.up();
    FakeSocket.last.joined();
    expect(chat.status.value).toMatchObject({ state: "connected", transport: "websocket" });
    expect(states(chat, ["lobby"])).toEqual(["joined"]);
    await settle(120_000);
    expect(paths().filter((path) => path === "/v1/events")).toEqual([]);
  });

  it("is not decided by a token that has expired", async () => {
    chance(0.1);
    let count = 0;
    const chat = await begin({ ...BOTH, token: undefined, getToken: () => `t${++count}` } as never, "lobby");
    FakeSocket.last.open();
    FakeSocket.last.end(4401, "token_expired");
    await until(() => FakeSocket.all.length === 2);
    FakeSocket.last.end(1006);
    await asked();
    await last().answer(problem(401, { code: "token_expired" }));
    await until(() => FakeSocket.all.length === 3);
    FakeSocket.last.up();
    expect(FakeSocket.last.sent[0]).toEqual({ type: "auth", token: "t3" });
    expect([chat.status.value.state, paths()]).toEqual(["connected", ["/v1/frames"]]);
  });

  it("is the next after a WebSocket that says nothing, however long each of them takes", async () => {
    chance(0.1);
    const chat = await begin(BOTH, "lobby");
    FakeSocket.last.open();
    await asked();
    await settle(9_000);
    await there();
    FakeSocket.last.open();
    await until(() => last().url.pathname === "/v1/events");
    expect(FakeSocket.all.map(({ closedWith }) => closedWith)).toEqual([1000, 1000]);
    await settle(9_000);
    const { welcome } = await stream(last());
    await welcome();
    expect(chat.status.value).toMatchObject({ state: "connected", transport: "sse" });
    expect(FakeSocket.all.length).toBe(2);
  });

  it("is the next after one that throws", async () => {
    chance(0.1);
    const WebSocket = class {
      constructor() {
        throw new Error("mixed content");
      }
    } as never;
    const chat = await begin({ ...BOTH, WebSocket }, "lobby");
    expect(chat.status.value).toMatchObject({ state: "waiting", reason: "Error: mixed content" });
    await asked();
    await there();
    await until(() => last().url.pathname === "/v1/events");
    const { welcome, write } = await stream(last());
    await welcome();
    for (let beat = 0; beat < 10; beat++) {
      await settle(20_000);
      await write(":\n");
    }
    expect([chat.status.value.state, calls.length]).toEqual(["connected", 2]);
  });

  it("is the event stream where there is no WebSocket", async () => {
    vi.stubGlobal("WebSocket", undefined);
    await begin({ ...BOTH, WebSocket: undefined } as never, "lobby");
    expect(last().url.pathname).toBe("/v1/events");
  });
});

describe("a WebSocket beside a stream", () => {
  it("is tried after about a minute, and more and more rarely, while the stream goes on", async () => {
    chance(0.5);
    const { chat, events, request } = await blocked("lobby");
    const seen: number[] = [];
    const statuses: string[] = [];
    chat.room("lobby")!.on("event", ({ seq }) => seen.push(seq));
    chat.status.subscribe(({ state }) => statuses.push(state));
    const waits: number[] = [];
    const ends = [
      () => FakeSocket.last.end(1006),
      // It came up, and is not answered.
      () => (FakeSocket.last.open(), settle(10_000)),
      // The server has no place for it.
      () => (FakeSocket.last.open(), FakeSocket.last.tell({ type: "closing", code: 1013, reason: "overloaded" }), FakeSocket.last.end(1013, "overloaded")),
      () => FakeSocket.last.end(1008, "auth_failed"),
      () => FakeSocket.last.end(1006),
      () => FakeSocket.last.end(1006),
    ];
    for (const [index, end] of ends.entries()) {
      const before = Date.now();
      while (FakeSocket.all.length === 2 + index) {
        await settle(1_000);
        // The stream's sign of life.
        await events.write(":\n");
      }
      waits.push(Math.round((Date.now() - before) / 1_000));
      await end();
      await events.tell({ type: "message", room: "lobby", epoch: "e", seq: index + 1, at: 1, from: "bob", data: index });
    }
    expect(waits).toEqual([60, 90, 150, 270, 330, 330]);
    expect(seen).toEqual([1, 2, 3, 4, 5, 6]);
    expect([statuses, request.signal.aborted, calls.length]).toEqual([[], false, 2]);
    expect(FakeSocket.all[3]!.closedWith).toBe(1000);
  });

  it("takes its place when it is welcomed, and nothing is lost or doubled", async () => {
    chance(0.5);
    const { chat, events, request } = await blocked("lobby", "garden");
    const room = chat.room("lobby")!;
    const seen: unknown[] = [];
    const statuses: unknown[] = [];
    room.on("event", ({ seq }) => seen.push(seq));
    room.on("reset", () => seen.push("reset"));
    chat.status.subscribe((status) => statuses.push(status));
    const message = (seq: number, fields: object = {}) => ({ type: "message", room: "lobby", epoch: "e", seq, at: 1, from: "bob", data: seq, ...fields });
    await nextSocket();
    await events.tell(message(1));
    FakeSocket.last.open();
    expect(FakeSocket.last.sent).toEqual([{ type: "auth", token: "t0" }]);
    // It is on its way, and not answered any more.
    const sent = fate(room.send("mine", { id: "i1" }));
    await settle();
    expect(last().body).toMatchObject({ type: "message", id: "i1" });
    await events.tell(message(2));
    expect([request.signal.aborted, states(chat, ["lobby"])]).toEqual([false, ["joined"]]);

    FakeSocket.last.welcome();
    expect(request.signal.aborted).toBe(true);
    expect(statuses).toEqual([{ state: "connected", transport: "websocket", user: "alice", node: "n1", session: "s/1" }]);
    const [lobby, garden] = FakeSocket.last.of("join");
    expect([lobby, garden]).toMatchObject([{ room: "lobby", since: { epoch: "e", seq: 2 } }, { room: "garden", since: { epoch: "e", seq: 0 } }]);
    await last().answer(new Response(JSON.stringify({ type: "ok", room: "lobby", epoch: "e", seq: 3, duplicate: false })));
    for (const { ref, room } of [garden!, lobby!]) {
      const [seq, head] = room === "lobby" ? [2, 3] : [0, 0];
      FakeSocket.last.tell({ type: "ok", ref, room, epoch: "e", seq, head, recovered: true, count: head - seq, members: [], markers: [] });
    }
    FakeSocket.last.tell(message(3, { from: "alice", id: "i1", data: "mine" }));
    await settle();
    expect(states(chat, ["lobby", "garden"])).toEqual(["joined", "joined"]);
    expect(sent.value).toMatchObject({ seq: 3 });
    FakeSocket.last.tell(message(4));
    expect(seen).toEqual([1, 2, 3, 4]);

    // It is a connection like any other: nothing of the stream is left, and it comes back as one.
    const count = [FakeSocket.all.length, calls.length];
    await settle(25_000);
    expect([FakeSocket.all.length, calls.length]).toEqual(count);
    FakeSocket.last.end(1006);
    await nextSocket();
    FakeSocket.last.up();
    expect(chat.status.value).toMatchObject({ state: "connected", transport: "websocket" });
    chat.close();
    await settle(1_000);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("ends with its stream, and with the client", async () => {
    chance(0.5);
    const first = await blocked("lobby");
    await nextSocket();
    const beside = FakeSocket.last;
    await first.events.end();
    expect(beside.closedWith).toBe(1000);
    first.chat.close();
    const { chat } = await blocked("lobby");
    await nextSocket();
    chat.close();
    await settle(1_000);
    expect([FakeSocket.last.closedWith, vi.getTimerCount()]).toEqual([1000, 0]);
  });

  it("is closed when the application closes at what it is told of the change", async () => {
    chance(0.5);
    const { chat } = await blocked("lobby");
    await nextSocket();
    chat.room("lobby")!.status.subscribe(({ state }) => state === "recovering" && chat.close());
    FakeSocket.last.up();
    await settle(1_000);
    expect([chat.status.value, FakeSocket.last.closedWith, vi.getTimerCount()]).toEqual([{ state: "closed" }, 1000, 0]);
  });

  it("is tried soon when a room finds no place in the stream, which says so, and then they are all joined", async () => {
    chance(0.999);
    const rooms = Array.from({ length: 10 }, (_, n) => `r${n}`);
    const { chat, events, request } = await blocked(...rooms);
    for (const name of ["r8", "r9"]) {
      expect(chat.room(name)!.status.value).toMatchObject({ state: "joining", error: { code: "too_large", message: "an event stream carries 8 rooms", retryAfterMs: 30_000 } });
    }
    const waits: number[] = [];
    for (let trial = 0; trial < 11; trial++) {
      const before = Date.now();
      for (const had = FakeSocket.all.length; FakeSocket.all.length === had; await settle(1_000)) await events.write(":\n");
      waits.push(Math.round((Date.now() - before) / 1_000));
      if (trial < 10) FakeSocket.last.end(1006);
    }
    expect(waits).toEqual([2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]);
    expect([request.signal.aborted, states(chat, ["r0", "r8"])]).toEqual([false, ["joined", "joining"]]);
    FakeSocket.last.up();
    expect(chat.room("r8")!.status.value).toEqual({ state: "joining" });
    for (const { ref, room } of FakeSocket.last.of("join")) {
      FakeSocket.last.tell({ type: "ok", ref, room, epoch: "e", seq: 0, head: 0, recovered: true, count: 0, members: [], markers: [] });
    }
    expect(states(chat, rooms)).toEqual(rooms.map(() => "joined"));
  });

  it("is tried soon also when the room comes late", async () => {
    chance(0.5);
    const rooms = Array.from({ length: 8 }, (_, n) => `r${n}`);
    const { chat, events } = await blocked(...rooms);
    for (let minute = 0; minute < 20; minute++) {
      for (let beat = 0; beat < 3; beat++) {
        await settle(20_000);
        await events.write(":\n");
      }
      if (FakeSocket.last.readyState !== 3) FakeSocket.last.end(1006);
    }
    chat.join("late");
    expect(await nextSocket()).toBeLessThanOrEqual(1_000);
  });
});
