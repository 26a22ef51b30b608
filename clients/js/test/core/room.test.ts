import { describe, expect, it, vi } from "vitest";
import type { Reset, RoomEvent, RoomStatus } from "../../src/index.ts";
import { byHand, chance, client, cut, FakeSocket, fate, inLobby, next, settle } from "./server.ts";

byHand();

const since = () => FakeSocket.last.of("join").at(-1)!.since;

describe("the log", () => {
  it("is shown once and in order, and goes on from where it was", async () => {
    const { room, socket } = await inLobby();
    const seen: number[] = [];
    room.on("event", ({ seq }) => seen.push(seq));
    for (const seq of [1, 2, 2, 1, 3]) socket.message(seq);
    expect(room.position).toEqual({ epoch: "e", seq: 3 });
    await cut(3, { head: 5, count: 2 });
    expect(since()).toEqual({ epoch: "e", seq: 3 });
    expect(room.status.value).toEqual({ state: "recovering" });
    FakeSocket.last.message(4);
    FakeSocket.last.message(5);
    expect(room.status.value).toEqual({ state: "joined", caughtUp: 2, recovered: true });
    // Another epoch that goes on with the numbers is no break.
    FakeSocket.last.message(6, { epoch: "e.1" });
    expect([seen, room.position]).toEqual([[1, 2, 3, 4, 5, 6], { epoch: "e.1", seq: 6 }]);
  });

  it("moves on with types that it does not know, and shows only those that it does", async () => {
    const { room, socket } = await inLobby();
    const seen: string[] = [];
    room.on("event", ({ type }) => seen.push(type));
    room.on("reaction", ({ key }) => seen.push(key));
    socket.tell({ type: "of later", room: "lobby", epoch: "e", seq: 1 });
    socket.tell({ type: "reaction", room: "lobby", epoch: "e", seq: 2, from: "bob", target: { epoch: "e", seq: 1 }, key: "+1", on: true });
    socket.tell({ type: "of later", room: "lobby" });
    socket.message(1, { room: "elsewhere" });
    expect([seen, room.position]).toEqual([["reaction", "+1"], { epoch: "e", seq: 2 }]);
  });

  it("with a hole is joined again before the hole, and shows nothing behind it until then", async () => {
    const { room, socket } = await inLobby();
    const seen: number[] = [];
    room.on("event", ({ seq }) => seen.push(seq));
    socket.message(1);
    socket.message(3);
    expect([since(), room.status.value.state]).toEqual([{ epoch: "e", seq: 1 }, "recovering"]);
    socket.message(4);
    socket.joined(1, { head: 4, recovered: true, count: 3 });
    for (const seq of [2, 3, 4]) socket.message(seq);
    expect([seen, room.status.value.state]).toEqual([[1, 2, 3, 4], "joined"]);
  });

  it.each(["trimmed", "forked", "new"] as const)("is told to be %s, and goes on from there", async (reason) => {
    const { room, socket } = await inLobby();
    const seen: (RoomEvent | Reset)[] = [];
    room.on("event", (event) => seen.push(event));
    room.on("reset", (reset) => seen.push(reset));
    socket.message(1);
    socket.tell({ type: "reset", room: "lobby", epoch: "f", seq: 40, reason });
    socket.message(41, { epoch: "f" });
    expect(seen.map((item) => [item.type, item.epoch, item.seq])).toEqual([["message", "e", 1], ["reset", "f", 40], ["message", "f", 41]]);
    expect(seen[1]).toMatchObject({ reason });
    await cut(41);
    expect(since()).toEqual({ epoch: "f", seq: 41 });
  });

  it("that could not be gone on with is a reset", async () => {
    const { room, socket } = await inLobby();
    const resets: Reset[] = [];
    room.on("reset", (reset) => resets.push(reset));
    socket.message(1);
    await cut(90, { epoch: "g", recovered: false, head: 92, count: 2 });
    expect(resets).toEqual([{ type: "reset", room: "lobby", reason: "unrecovered", epoch: "g", seq: 90 }]);
    for (const seq of [91, 92]) FakeSocket.last.message(seq, { epoch: "g" });
    expect(room.status.value).toEqual({ state: "joined", caughtUp: 2, recovered: false });
  });

  it("begins where it is told to, with as much as was asked for", async () => {
    const chat = client();
    chat.join("lobby", { since: { epoch: "e", seq: 7 }, recent: 50 });
    chat.join("garden", { recent: 20 });
    await settle();
    FakeSocket.last.up();
    expect(FakeSocket.last.of("join")).toEqual([
      { type: "join", room: "lobby", since: { epoch: "e", seq: 7 }, recent: 50, ref: 1 },
      { type: "join", room: "garden", recent: 20, ref: 2 },
    ]);
  });

  it("is iterated from the call on, until it is left", async () => {
    const { room, socket } = await inLobby();
    socket.message(1);
    const iterator = room[Symbol.asyncIterator]();
    socket.message(2);
    socket.tell({ type: "reset", room: "lobby", epoch: "e", seq: 5, reason: "trimmed" });
    expect((await iterator.next()).value).toMatchObject({ type: "message", seq: 2 });
    expect((await iterator.next()).value).toMatchObject({ type: "reset", seq: 5 });
    const next = iterator.next();
    socket.message(6);
    expect((await next).value).toMatchObject({ seq: 6 });
    const end = iterator.next();
    room.leave();
    expect(await end).toEqual({ value: undefined, done: true });
    expect(await room[Symbol.asyncIterator]().next()).toEqual({ value: undefined, done: true });
  });

  it("keeps no more than 10,000 for a slow reader", async () => {
    const { room, socket } = await inLobby();
    const slow = room[Symbol.asyncIterator]();
    const gone = room[Symbol.asyncIterator]();
    await gone.return!();
    for (let seq = 1; seq <= 10_001; seq++) socket.message(seq);
    for (let seq = 1; seq <= 10_001; seq++) expect((await slow.next()).value).toMatchObject({ seq });
    await expect(slow.next()).rejects.toMatchObject({ code: "overflow" });
    expect(await gone.next()).toEqual({ value: undefined, done: true });
  });

  it("stops for nobody who throws", async () => {
    const { room, socket } = await inLobby();
    const caught: unknown[] = [];
    vi.spyOn(globalThis, "queueMicrotask").mockImplementation((report) => {
      try {
        report();
      } catch (error) {
        caught.push(error);
      }
    });
    const seen: number[] = [];
    room.on("event", () => {
      throw new Error("a listener's own");
    });
    room.on("event", ({ seq }) => seen.push(seq));
    socket.message(1);
    socket.message(2);
    expect([seen, caught.length]).toEqual([[1, 2], 2]);
  });
});

describe("a membership", () => {
  it("tells nobody who has ended what it listens to, not even what is just being told", async () => {
    const { room, socket } = await inLobby();
    const seen: string[] = [];
    room.on("event", () => {
      seen.push("first");
      end();
    });
    const end = room.on("event", () => seen.push("second"));
    socket.message(1);
    expect(seen).toEqual(["first"]);
  });

  it("that is refused is over, and one that can't be had now is asked for again", async () => {
    const chat = client();
    const room = chat.join("lobby");
    const full = chat.join("full");
    await settle();
    const socket = FakeSocket.last;
    socket.up();
    socket.refuse("join", "too_large", { retry_after_ms: 2_000 });
    socket.tell({ type: "error", ref: 1, code: "unavailable", message: "no Redis" });
    await settle(1_999);
    expect(socket.of("join").map(({ room }) => room)).toEqual(["lobby", "full", "lobby"]);
    socket.refuse("join", "forbidden");
    expect(room.status.value).toMatchObject({ state: "left", error: { code: "forbidden", message: "it is forbidden" } });
    await settle(1);
    socket.joined();
    expect(full.status.value.state).toBe("joined");
  });

  it("says why it is not let in for now, as long as that holds", async () => {
    const { room, socket } = await inLobby();
    const seen: RoomStatus[] = [];
    room.status.subscribe((status) => seen.push(status));
    socket.message(3);
    socket.refuse("join", "too_large", { retry_after_ms: 60_000 });
    expect(seen).toMatchObject([{ state: "recovering" }, { state: "recovering", error: { code: "too_large", message: "it is too_large", retryAfterMs: 60_000 } }]);
    socket.end(1006);
    await next();
    FakeSocket.last.up();
    expect(seen.slice(2)).toEqual([{ state: "recovering" }]);
    FakeSocket.last.refuse("join", "unavailable");
    expect(room.status.value).toMatchObject({ state: "recovering", error: { code: "unavailable" } });
    await settle(250);
    FakeSocket.last.joined(3, { recovered: true });
    expect(room.status.value).toEqual({ state: "joined", caughtUp: 0, recovered: true });
  });

  it("ends by the server's word, and begins anew when it is joined again", async () => {
    const { chat, room, socket } = await inLobby();
    const errors: string[] = [];
    room.on("error", ({ code }) => errors.push(code));
    chat.on("error", ({ code }) => errors.push(`chat: ${code}`));
    socket.tell({ type: "error", room: "lobby", code: "forbidden", message: "the token grants less" });
    socket.tell({ type: "error", code: "bad_request", message: "of no request" });
    expect(errors).toEqual(["forbidden", "chat: bad_request"]);
    expect(room.status.value.state).toBe("left");
    const again = chat.join("lobby");
    expect(again).not.toBe(room);
    expect(chat.join("lobby")).toBe(again);
    expect(socket.of("join").at(-1)).toEqual({ type: "join", room: "lobby", ref: expect.any(Number) });
  });

  it("that is left before it was joined is not joined", async () => {
    const chat = client();
    chat.join("lobby").leave();
    chat.join("garden");
    await settle();
    FakeSocket.last.up();
    expect(FakeSocket.last.of("join").map(({ room }) => room)).toEqual(["garden"]);
    chat.room("garden")!.leave();
    expect(FakeSocket.last.of("leave").map(({ room }) => room)).toEqual(["garden"]);
  });

  it("finds the own room by its name", async () => {
    const chat = client();
    const room = chat.join("@me");
    await settle();
    FakeSocket.last.up();
    FakeSocket.last.ok("join", { room: "@alice", epoch: "e", seq: 0, head: 0, recovered: false, count: 0, members: [] });
    FakeSocket.last.message(1, { room: "@alice" });
    expect(room.position).toEqual({ epoch: "e", seq: 1 });
  });
});

describe("history", () => {
  it("gives pages, and says what is wrong", async () => {
    const { room, socket } = await inLobby();
    const page = room.history({ before: 5, limit: 2 });
    expect(socket.of("history").at(-1)).toMatchObject({ room: "lobby", before: 5, limit: 2 });
    socket.ok("history", { events: [], more: true, markers: [] });
    expect(await page).toEqual({ events: [], more: true });
    const refused = fate(room.history());
    socket.refuse("history", "forbidden");
    await settle();
    expect(refused.code).toBe("forbidden");
  });

  it("is asked again over a reconnect, for so long", async () => {
    chance(0.1);
    const { room, socket } = await inLobby();
    const page = room.history();
    socket.end(1006);
    await settle(25);
    FakeSocket.last.up();
    await settle(1_000);
    FakeSocket.last.ok("history", { events: [], more: false });
    expect(await page).toEqual({ events: [], more: false });
    const late = fate(room.history());
    await settle(9_999);
    expect(late.code).toBeUndefined();
    await settle(1);
    expect(late.code).toBe("timeout");
  });
});
