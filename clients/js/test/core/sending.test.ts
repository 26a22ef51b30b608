import { describe, expect, it, vi } from "vitest";
import { back, byHand, client, cut, FakeSocket, fate, inLobby, LIMITS, next, settle } from "./server.ts";

byHand(0.5);

const data = (socket: FakeSocket) => socket.of("message").map((frame) => frame.data);

describe("sending", () => {
  it("gives the position, one message of a room after the other", async () => {
    const { chat, room, socket } = await inLobby();
    const one = room.send({ text: "one" }, { id: "i1" });
    const two = room.send("two");
    chat.join("garden");
    await settle();
    socket.joined();
    const other = chat.room("garden")!.send("elsewhere");
    await settle();
    expect(socket.of("message")[0]).toMatchObject({ room: "lobby", data: { text: "one" }, id: "i1" });
    expect(data(socket)).toEqual([{ text: "one" }, "elsewhere"]);
    socket.tell({ type: "ok", ref: socket.of("message")[0]!.ref, room: "lobby", epoch: "e", seq: 1, id: "i1", duplicate: false });
    expect(await one).toEqual({ epoch: "e", seq: 1, id: "i1", duplicate: false });
    expect(data(socket)).toEqual([{ text: "one" }, "elsewhere", "two"]);
    socket.ok("message", { epoch: "e", seq: 2, duplicate: false });
    const { id } = await two;
    expect(id).toMatch(/^[a-z0-9]{8,64}$/);
    expect(fate(other)).toEqual({});
  });

  it("says what it was at the call", async () => {
    const chat = client();
    const text = { text: "before" };
    void chat.join("lobby").send(text);
    text.text = "after";
    await settle();
    FakeSocket.last.up();
    FakeSocket.last.joined();
    expect(data(FakeSocket.last)).toEqual([{ text: "before" }]);
  });

  it("waits for the room, and for the end of the replay", async () => {
    const chat = client();
    const room = chat.join("lobby");
    void room.send(1);
    await settle();
    FakeSocket.last.up();
    expect(data(FakeSocket.last)).toEqual([]);
    FakeSocket.last.joined(0, { head: 1, count: 1 });
    expect(data(FakeSocket.last)).toEqual([]);
    FakeSocket.last.message(1);
    expect(data(FakeSocket.last)).toEqual([1]);
  });

  it("is tried again with the same id over reconnects, in order", async () => {
    const { room, socket } = await inLobby();
    const one = room.send("one");
    void room.send("two");
    await settle();
    await cut(0);
    expect(data(FakeSocket.last)).toEqual(["one"]);
    expect(FakeSocket.last.of("message")[0]!.id).toBe(socket.of("message")[0]!.id);
    FakeSocket.last.ok("message", { epoch: "e", seq: 1, duplicate: true });
    expect(await one).toMatchObject({ seq: 1, duplicate: true });
    expect(data(FakeSocket.last)).toEqual(["one", "two"]);
  });

  it("is known to be done by its event, also when the answer was lost", async () => {
    const { room, socket } = await inLobby();
    const one = room.send("one", { id: "i1" });
    await settle();
    socket.end(1006);
    await next();
    FakeSocket.last.up();
    FakeSocket.last.joined(0, { head: 2, recovered: true, count: 2 });
    FakeSocket.last.message(1, { id: "i1" });
    expect(fate(one)).toEqual({});
    FakeSocket.last.message(2, { from: "alice", id: "i1" });
    expect(await one).toEqual({ epoch: "e", seq: 2, id: "i1", duplicate: false });
    expect(data(FakeSocket.last)).toEqual([]);
  });

  it("that is refused for good does not hold up the next", async () => {
    const { room, socket } = await inLobby();
    const muted = fate(room.send("one"));
    const large = fate(room.send("x".repeat(999)));
    const deep = fate(room.send([{ a: [[]] }]));
    const edit = fate(room.edit({ epoch: "e", seq: 9 }, "edited"));
    await settle();
    socket.refuse("message", "forbidden", { retry_after_ms: 5_000 });
    await settle();
    expect(muted.error).toMatchObject({ code: "forbidden", message: "it is forbidden", retryAfterMs: 5_000 });
    expect(large.error).toMatchObject({ code: "too_large", message: "data may have 1000 bytes, the frame 4 levels" });
    expect([deep.code, data(socket)]).toEqual(["too_large", ["one"]]);
    socket.refuse("edit", "not_found");
    await settle();
    expect(edit.code).toBe("not_found");
  });

  it.each(["unavailable", "internal", "rate_limited"])("that is %s now is tried again when it may be", async (code) => {
    const { room, socket } = await inLobby();
    const one = room.send("one");
    void room.send("two");
    await settle();
    socket.refuse("message", code, { retry_after_ms: 700 });
    await settle(699);
    expect(data(socket)).toEqual(["one"]);
    await settle(2);
    expect(data(socket)).toEqual(["one", "one"]);
    socket.ok("message", { epoch: "e", seq: 1, duplicate: false });
    expect((await one).seq).toBe(1);
  });

  it("of other rooms waits too while the user is too fast", async () => {
    const { chat, room, socket } = await inLobby();
    void room.send("one");
    await settle();
    socket.refuse("message", "rate_limited", { retry_after_ms: 700 });
    chat.join("garden");
    await settle(699);
    expect(socket.of("join").length).toBe(1);
    await settle(1);
    expect(socket.of("join").length).toBe(2);
  });

  it("joins again when the server has forgotten the membership", async () => {
    const { room, socket } = await inLobby();
    void room.send("one");
    await settle();
    socket.refuse("message", "not_joined");
    expect(socket.of("join").at(-1)!.since).toEqual({ epoch: "e", seq: 0 });
    socket.joined(0, { recovered: true });
    expect(data(socket)).toEqual(["one", "one"]);
  });
});

describe("what is unknown", () => {
  it("was written, not answered, and is past its id's time: it is not sent again", async () => {
    const { chat, room, socket } = await inLobby();
    const one = fate(room.send("one"));
    const two = fate(room.send("two"));
    await settle();
    socket.end(1006);
    await settle(LIMITS.id_ttl_ms - 1);
    expect([one.code, two.code]).toEqual([undefined, undefined]);
    await settle(1);
    expect(one.code).toBe("unknown");
    await settle(600_000);
    // What was never written can't be in the log: it waits on.
    expect(two).toEqual({});
    await back(chat);
    expect(data(FakeSocket.last)).toEqual(["two"]);
  });

  it("is not sent again so late that it might arrive too late", async () => {
    const { chat, room, socket } = await inLobby();
    const one = fate(room.send("one"));
    await settle();
    socket.end(1006);
    await settle(LIMITS.id_ttl_ms - 9_000);
    await back(chat);
    await settle();
    expect([one.code, data(FakeSocket.last)]).toEqual(["unknown", []]);
  });

  it("is noticed also after a sleep, in which no timer ran", async () => {
    const { chat, room, socket } = await inLobby();
    const one = fate(room.send("one"));
    await settle();
    socket.end(1006);
    vi.setSystemTime(Date.now() + 3_600_000);
    await back(chat);
    await settle();
    expect([one.code, data(FakeSocket.last)]).toEqual(["unknown", []]);
  });

  it("is what was refused only when it was sent again", async () => {
    const { chat, room, socket } = await inLobby();
    const one = fate(room.send("one"));
    await settle();
    socket.end(1006);
    await back(chat);
    FakeSocket.last.refuse("message", "forbidden");
    await settle();
    expect(one.error).toMatchObject({ code: "unknown", cause: { code: "forbidden" } });
    const two = fate(room.send("two"));
    await settle();
    FakeSocket.last.refuse("message", "rate_limited", { retry_after_ms: 100 });
    await settle(1_000);
    FakeSocket.last.refuse("message", "forbidden");
    await settle();
    expect(two.code).toBe("forbidden");
  });

  it("is so too when the room is left, or the client closed; what was not written is just not sent", async () => {
    const { chat, room } = await inLobby();
    const written = fate(room.send("one"));
    const waiting = fate(room.send("two"));
    await settle();
    chat.close();
    await settle();
    expect([written.code, waiting.code]).toEqual(["unknown", "closed"]);
    await expect(room.send("three")).rejects.toMatchObject({ code: "closed" });
    expect(vi.getTimerCount()).toBe(0);
  });

  it("leaves nothing at a signal that outlives it", async () => {
    const { room, socket } = await inLobby();
    const { signal } = new AbortController();
    const removed = vi.spyOn(signal, "removeEventListener");
    const sent = room.send("one", { signal });
    await settle();
    socket.ok("message", { epoch: "e", seq: 1 });
    await sent;
    await settle();
    expect(removed).toHaveBeenCalledTimes(1);
  });

  it("is so too when it was given up by a signal", async () => {
    const { room, socket } = await inLobby();
    const [one, two, three] = [1, 2, 3].map(() => new AbortController());
    const written = fate(room.send("one", { signal: one!.signal }));
    const waiting = fate(room.send("two", { signal: two!.signal }));
    const last = fate(room.send("three", { signal: three!.signal }));
    three!.abort();
    const never = fate(room.send("four", { signal: three!.signal }));
    two!.abort();
    await settle();
    expect([written.code, waiting.code, last.code, never.code]).toEqual([undefined, "aborted", "aborted", "aborted"]);
    one!.abort();
    void room.send("five");
    await settle();
    expect(written.code).toBe("unknown");
    // The late answer is not taken for that of the next.
    socket.tell({ type: "ok", ref: socket.of("message")[0]!.ref, room: "lobby", epoch: "e", seq: 1, duplicate: false });
    expect(data(socket)).toEqual(["one", "five"]);
  });
});

describe("the queue", () => {
  it("has a bound in messages, over all rooms", async () => {
    const chat = client({ queue: { messages: 2 } });
    const one = chat.join("lobby").send("one");
    void chat.join("garden").send("two");
    await expect(chat.join("lobby").send("three")).rejects.toMatchObject({ code: "queue_full" });
    await settle();
    FakeSocket.last.up();
    const [lobby] = FakeSocket.last.of("join");
    FakeSocket.last.tell({ type: "ok", ref: lobby!.ref, room: "lobby", epoch: "e", seq: 0, head: 0, members: [] });
    FakeSocket.last.ok("message", { epoch: "e", seq: 1, duplicate: false });
    await one;
    const four = fate(chat.join("lobby").send("four"));
    await settle();
    expect(four).toEqual({});
  });

  it("has a bound in bytes of what goes over the wire", async () => {
    const chat = client({ queue: { bytes: 200 } });
    const room = chat.join("lobby");
    const fits = fate(room.send("é".repeat(60), { id: "i" }));
    const full = fate(room.send("", { id: "i" }));
    await settle();
    expect([fits.code, full.code]).toEqual([undefined, "queue_full"]);
  });
});

describe("the pace", () => {
  it("keeps within the server's burst and rate, and in what is unanswered", async () => {
    const { chat, socket } = await inLobby({}, { frames_per_second: 10, frame_burst: 20 });
    for (let n = 0; n < 40; n++) chat.join(`r${n}`);
    await settle();
    const joins = () => socket.of("join").filter(({ room }) => room !== "lobby");
    const answer = (from: number, to: number) => {
      for (const { ref, room } of joins().slice(from, to)) socket.tell({ type: "ok", ref, room, epoch: "e", seq: 0, head: 0, members: [] });
    };
    // The first join, and nine more: half the burst.
    expect(joins().length).toBe(9);
    // Ten are unanswered, and no more may be.
    await settle(1_000);
    expect(joins().length).toBe(10);
    // What was not used meanwhile is not more than half the burst either.
    answer(0, 10);
    expect(joins().length).toBe(19);
    answer(10, 19);
    expect(joins().length).toBe(19);
    await settle(100);
    expect(joins().length).toBe(20);
  });

  it("is held for as long as the server says, however late that is said; a shorter hold within it adds nothing", async () => {
    const { chat, room, socket } = await inLobby();
    const page = fate(room.history());
    void room.send("one");
    await settle(600);
    socket.refuse("message", "rate_limited", { retry_after_ms: 700 });
    chat.join("garden");
    await settle(500);
    socket.refuse("history", "rate_limited", { retry_after_ms: 50 });
    await settle(199);
    expect(socket.of("join").length).toBe(1);
    await settle(2);
    expect(socket.of("join").length).toBe(2);
    expect(page).toEqual({});
  });
});
