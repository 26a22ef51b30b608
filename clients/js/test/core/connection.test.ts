import { describe, expect, it, vi } from "vitest";
import { connect, type Status } from "../../src/index.ts";
import { byHand, chance, client, FakeSocket, inLobby, next, settle } from "./server.ts";

byHand();

const state = (chat: { status: { value: Status } }) => chat.status.value.state;

describe("connecting", () => {
  it("begins with the first room, and says who it is by the first frame", async () => {
    const chat = client({}, "wss://chorus.test/chat/ws?room=x");
    expect([state(chat), FakeSocket.all.length]).toEqual(["idle", 0]);
    chat.join("lobby");
    await settle();
    const socket = FakeSocket.last;
    expect([socket.url, socket.protocols]).toEqual(["wss://chorus.test/chat/ws?room=x", "chorus.v1"]);
    expect(socket.sent).toEqual([]);
    socket.open();
    expect(socket.sent).toEqual([{ type: "auth", token: "t0" }]);
    expect(state(chat)).toBe("connecting");
    socket.welcome();
    expect(chat.status.value).toEqual({ state: "connected", transport: "websocket", user: "alice", node: "n1", session: "s/1" });
    expect(chat.user).toBe("alice");
    expect(socket.sent.at(-1)).toEqual({ type: "join", room: "lobby", ref: 1 });
  });

  it("says nothing of itself when it has no token: the cookie does", async () => {
    const chat = client({ token: undefined });
    chat.join("lobby");
    await settle();
    FakeSocket.last.up();
    expect(FakeSocket.last.sent.map(({ type }) => type)).toEqual(["join"]);
  });

  it("takes an address of the page, or of HTTP, and knows the usual path", async () => {
    for (const [url, is] of [
      ["https://chorus.test", "wss://chorus.test/ws"],
      ["http://chorus.test:8080/a/ws", "ws://chorus.test:8080/a/ws"],
      ["ws://chorus.test", "ws://chorus.test/ws"],
      ["/ws", "wss://page.test/ws"],
    ] as const) {
      vi.stubGlobal("location", { href: "https://page.test/chat/#lobby" });
      client({}, url).join("lobby");
      await settle();
      expect(FakeSocket.last.url).toBe(is);
    }
    vi.stubGlobal("location", undefined);
    expect(() => connect("/ws")).toThrow(TypeError);
    vi.stubGlobal("WebSocket", undefined);
    expect(() => connect("ws://chorus.test", { transports: ["websocket"] })).toThrow(/options.WebSocket/);
  });

  it("never shows a token to who looks at frames", async () => {
    const chat = client();
    const texts: string[] = [];
    chat.on("frame", ({ out, text }) => texts.push(`${out ? ">" : "<"} ${text}`));
    chat.join("lobby");
    await settle();
    FakeSocket.last.up();
    expect(texts[0]).toBe('> {"type":"auth"}');
    expect(texts[1]).toMatch(/^< .*welcome/);
  });

  it("lingers a while after the last room is left, and then is idle until the next", async () => {
    const { chat, room, socket } = await inLobby();
    room.leave();
    chat.join("garden");
    await settle(10_000);
    expect(state(chat)).toBe("connected");
    chat.room("garden")!.leave();
    await settle(4_999);
    expect([state(chat), socket.closedWith]).toEqual(["connected", undefined]);
    await settle(1);
    expect([state(chat), socket.closedWith]).toEqual(["idle", 1000]);
    chat.join("lobby");
    await settle();
    expect([state(chat), FakeSocket.all.length]).toEqual(["connecting", 2]);
  });
});

describe("coming back", () => {
  it("waits longer each time, up to the cap, and begins anew after a good connection", async () => {
    chance(0.5);
    const { chat } = await inLobby();
    const waits: number[] = [];
    chat.status.subscribe((status) => status.state === "waiting" && waits.push(status.retryAt - Date.now()));
    FakeSocket.last.end(1006);
    for (let attempt = 1; attempt < 10; attempt++) {
      await settle(waits.at(-1));
      FakeSocket.last.end(1006);
    }
    expect(waits).toEqual([125, 250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
    await settle(15_000);
    FakeSocket.last.up();
    FakeSocket.last.end(1006);
    expect(waits.at(-1)).toBe(15_000);
    await settle(15_000);
    FakeSocket.last.up();
    await settle(5_000);
    FakeSocket.last.end(1006);
    expect(waits.at(-1)).toBe(125);
  });

  it("obeys the server's hint, and tells the application what a moderator said", async () => {
    chance(0.5);
    const { chat, socket } = await inLobby();
    const told: unknown[] = [];
    chat.on("closing", (closing) => told.push(closing));
    socket.tell({ type: "closing", code: 1012, reason: "restart", retry_after_ms: 4_321, message: "back soon" });
    socket.end(1012, "restart");
    expect(told).toEqual([{ code: 1012, reason: "restart", retryAfterMs: 4_321, message: "back soon" }]);
    expect(chat.status.value).toEqual({ state: "waiting", attempt: 1, retryAt: Date.now() + 4_321, reason: "restart" });
    await settle(4_321);
    expect(FakeSocket.all.length).toBe(2);
    // The hint was for once.
    FakeSocket.last.end(1006);
    expect(chat.status.value).toMatchObject({ retryAt: Date.now() + 250, reason: "connection lost" });
  });

  const table: [number, string, "closed" | "waiting"][] = [
    [1000, "bye", "closed"],
    [1001, "going_away", "waiting"],
    [1001, "heartbeat_timeout", "waiting"],
    [1002, "protocol_violation", "closed"],
    [1003, "binary_unsupported", "closed"],
    [1005, "", "waiting"],
    [1006, "", "waiting"],
    [1007, "not_utf8", "closed"],
    [1008, "auth_failed", "closed"],
    [1008, "rate_limited", "closed"],
    [1008, "banned", "closed"],
    [1008, "kicked", "closed"],
    [1009, "too_large", "closed"],
    [1011, "internal", "waiting"],
    [1012, "restart", "waiting"],
    [1013, "overloaded", "waiting"],
    [1013, "slow_consumer", "waiting"],
    [4999, "a proxy's", "waiting"],
  ];
  it.each(table)("%i %s: %s", async (code, reason, after) => {
    const chat = client();
    chat.join("lobby");
    await settle();
    FakeSocket.last.open();
    FakeSocket.last.end(code, reason);
    expect(state(chat)).toBe(after);
    await settle(60_000);
    expect(FakeSocket.all.length).toBe(after === "closed" ? 1 : FakeSocket.all.length);
    if (after === "closed") expect(chat.status.value).toMatchObject({ error: { code: reason, closeCode: code } });
    else expect(FakeSocket.all.length).toBeGreaterThan(1);
  });

  it("ends what waits when the server says not to come back", async () => {
    const { chat, room, socket } = await inLobby();
    socket.tell({ type: "closing", code: 1008, reason: "banned", retry_after_ms: 60_000, message: "spam" });
    const sent = expect(room.send(1)).rejects.toMatchObject({ code: "unknown" });
    const waiting = expect(room.send(2)).rejects.toMatchObject({ code: "banned", retryAfterMs: 60_000, message: "spam" });
    socket.end(1008, "banned");
    await Promise.all([sent, waiting]);
    expect(room.status.value).toMatchObject({ state: "left", error: { code: "banned" } });
    expect(chat.room("lobby")).toBeUndefined();
    chat.reconnect();
    await expect(chat.join("lobby").send(3)).rejects.toMatchObject({ code: "closed" });
    await settle(60_000);
    expect(FakeSocket.all.length).toBe(1);
  });

  it("gives up on a handshake that leads nowhere, and on a connection that fell silent", async () => {
    const chat = client();
    chat.join("lobby");
    await settle();
    FakeSocket.last.open();
    await settle(9_999);
    expect(state(chat)).toBe("connecting");
    await settle(1);
    expect([state(chat), FakeSocket.last.closedWith]).toEqual(["waiting", 1000]);
    await next();

    const socket = FakeSocket.last;
    socket.up();
    await settle(29_000);
    socket.tell({ type: "something of later" });
    await settle(1_000);
    expect(socket.of("ping")).toEqual([]);
    await settle(30_000);
    expect(socket.of("ping").length).toBe(1);
    socket.tell({ type: "pong" });
    await settle(5_000 + 30_000);
    expect(socket.of("ping").length).toBe(2);
    expect(state(chat)).toBe("connected");
    await settle(5_000);
    expect(chat.status.value).toMatchObject({ state: "waiting", reason: "heartbeat_timeout" });
  });

  it("tries at once when it is told to, and only then while there is no network", async () => {
    chance(0.999);
    const page = new EventTarget();
    const network = { onLine: true };
    vi.stubGlobal("addEventListener", page.addEventListener.bind(page));
    vi.stubGlobal("navigator", network);
    const document = Object.assign(new EventTarget(), { visibilityState: "visible" });
    vi.stubGlobal("document", document);
    const { chat, socket } = await inLobby();

    socket.end(1006);
    expect(state(chat)).toBe("waiting");
    chat.reconnect();
    await settle();
    expect(FakeSocket.all.length).toBe(2);
    FakeSocket.last.end(1006);
    document.dispatchEvent(new Event("visibilitychange"));
    await settle();
    expect(FakeSocket.all.length).toBe(3);

    FakeSocket.last.end(1006);
    network.onLine = false;
    page.dispatchEvent(new Event("offline"));
    expect(state(chat)).toBe("offline");
    await settle(60_000);
    expect(FakeSocket.all.length).toBe(3);
    network.onLine = true;
    page.dispatchEvent(new Event("online"));
    await settle();
    expect(FakeSocket.all.length).toBe(4);
    FakeSocket.last.up();

    // A connection is asked before it is believed to be gone.
    network.onLine = false;
    page.dispatchEvent(new Event("offline"));
    expect([state(chat), FakeSocket.last.of("ping").length]).toEqual(["connected", 1]);
    await settle(5_000);
    expect(state(chat)).toBe("offline");
    chat.close();
    page.dispatchEvent(new Event("online"));
    await settle();
    expect([state(chat), FakeSocket.all.length]).toEqual(["closed", 4]);
  });

  it.each(["connecting", "connected", "waiting"])("is closed by the application also when it says that it is %s", async (when) => {
    const chat = client();
    chat.status.subscribe(({ state }) => state === when && chat.close());
    chat.join("lobby");
    await settle();
    if (when !== "connecting") FakeSocket.last.up();
    if (when === "waiting") FakeSocket.last.end(1006);
    // What was asked over it is not asked again.
    await settle(1_000);
    expect(vi.getTimerCount()).toBe(0);
    expect(chat.status.value).toEqual({ state: "closed" });
    expect(FakeSocket.all.map(({ sent }) => sent.map(({ type }) => type))).toEqual(
      { connecting: [], connected: [["auth"]], waiting: [["auth", "join"]] }[when],
    );
  });

  it.each(["welcome", "ping"])("is closed by the application also when it sees a %s", async (type) => {
    const chat = client();
    chat.on("frame", ({ text }) => text.includes(`"${type}"`) && chat.close());
    chat.join("lobby");
    await settle();
    FakeSocket.last.up();
    chat.reconnect();
    await settle(1_000);
    expect([chat.status.value, vi.getTimerCount()]).toEqual([{ state: "closed" }, 0]);
  });

  it("is closed by the application also from within what it tells", async () => {
    const { chat, room, socket } = await inLobby();
    room.status.subscribe(({ state }) => state === "recovering" && chat.close());
    socket.end(1006);
    await settle(60_000);
    expect(chat.status.value).toEqual({ state: "closed" });
    expect(FakeSocket.all.length).toBe(1);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("tokens", () => {
  it("are asked for once, renewed before they expire, and asked for again when the server says so", async () => {
    let count = 0;
    const getToken = vi.fn(() => `t${++count}`);
    const { chat, socket } = await inLobby({ getToken, token: undefined });
    expect(socket.sent[0]).toEqual({ type: "auth", token: "t1" });
    socket.tell({ type: "expiring", in_ms: 30_000 });
    await settle();
    expect(socket.of("auth").at(-1)).toMatchObject({ token: "t2", ref: expect.any(Number) });
    socket.ok("auth");

    socket.end(1006);
    await next();
    FakeSocket.last.open();
    expect(FakeSocket.last.sent[0]).toEqual({ type: "auth", token: "t2" });
    FakeSocket.last.end(4401, "token_expired");
    await next();
    FakeSocket.last.open();
    expect(FakeSocket.last.sent[0]).toEqual({ type: "auth", token: "t3" });
    expect(getToken.mock.calls).toEqual([["first"], ["renew"], ["expired"]]);
    expect(state(chat)).toBe("connecting");
  });

  it("are asked for with backoff until there is one, unless that is fatal", async () => {
    chance(0.5);
    let fatal = false;
    const getToken = vi.fn(() => Promise.reject(Object.assign(new Error("no login"), { fatal })));
    const chat = client({ getToken, token: undefined });
    chat.join("lobby");
    await settle();
    expect(chat.status.value).toMatchObject({ state: "waiting", reason: "getToken: no login" });
    await settle(125 + 250);
    expect(getToken).toHaveBeenCalledTimes(3);
    fatal = true;
    await settle(500);
    expect(chat.status.value).toMatchObject({ state: "closed", error: { code: "auth_failed", message: "getToken: no login" } });
    expect(FakeSocket.all.length).toBe(0);
  });

  it("that do not come are asked for again after the timeout, and a late one does not count", async () => {
    chance(0.5);
    const late: ((token: string) => void)[] = [];
    const getToken = vi.fn(() => new Promise<string>((resolve) => late.push(resolve)));
    const chat = client({ getToken, token: undefined, timeout: 3_000 });
    chat.join("lobby");
    await settle(2_999);
    expect(state(chat)).toBe("connecting");
    await settle(1);
    expect(chat.status.value).toMatchObject({ state: "waiting", reason: "getToken: no answer in time" });
    await settle(125);
    late[0]!("late");
    await settle();
    expect([getToken.mock.calls.length, FakeSocket.all.length]).toEqual([2, 0]);
    late[1]!("t2");
    await settle();
    expect(FakeSocket.all.length).toBe(1);
  });

  it("that can't be renewed now are asked for again, and a refusal is told", async () => {
    chance(0.5);
    const getToken = vi.fn<(reason: string) => Promise<string>>().mockResolvedValueOnce("t1").mockRejectedValueOnce(new Error("busy")).mockResolvedValueOnce("t2");
    const { chat, socket } = await inLobby({ getToken, token: undefined });
    const errors: string[] = [];
    chat.on("error", ({ code }) => errors.push(code));
    socket.tell({ type: "expiring", in_ms: 30_000 });
    await settle(125);
    expect(socket.of("auth").map(({ token }) => token)).toEqual(["t1", "t2"]);
    socket.refuse("auth", "forbidden");
    expect(errors).toEqual(["forbidden"]);
    expect(state(chat)).toBe("connected");
  });

  it("of a fixed kind end with their time", async () => {
    const { chat, socket } = await inLobby();
    socket.tell({ type: "expiring", in_ms: 30_000 });
    socket.end(4401, "token_expired");
    expect(chat.status.value).toMatchObject({ state: "closed", error: { code: "token_expired", closeCode: 4401 } });
  });

  it("that the server once took and now refuses are asked for once more", async () => {
    let count = 0;
    const { chat, socket } = await inLobby({ getToken: () => `t${++count}`, token: undefined });
    socket.end(1008, "auth_failed");
    await next();
    FakeSocket.last.open();
    expect(FakeSocket.last.sent).toEqual([{ type: "auth", token: "t2" }]);
    FakeSocket.last.end(1008, "auth_failed");
    expect(state(chat)).toBe("closed");
  });
});
