/** Presence, typing and read markers. */
import { describe, expect, it } from "vitest";
import { byHand, cut, FakeSocket, inLobby, settle } from "./server.ts";

byHand(0.5);

const alice = { user: "alice" };
const bob = { user: "bob", name: "Bob" };
const carol = { user: "carol" };

describe("presence", () => {
  it("comes with the join and moves with who comes and goes", async () => {
    const { room, socket } = await inLobby();
    expect(room.presence.value).toEqual({ count: 1, members: [alice] });
    const before = room.presence.value;
    expect(room.presence.value).toBe(before);
    socket.tell({ type: "presence", room: "lobby", joined: [bob, carol], left: [], count: 3 });
    expect(room.presence.value).toEqual({ count: 3, members: [alice, bob, carol] });
    socket.tell({ type: "presence", room: "lobby", joined: [{ user: "bob", name: "Robert" }], left: [carol], count: 2 });
    expect(room.presence.value).toEqual({ count: 2, members: [alice, { user: "bob", name: "Robert" }] });
    expect(socket.of("presence")).toEqual([]);
  });

  it("is asked for when the list has not as many as there are", async () => {
    const { room, socket } = await inLobby();
    socket.tell({ type: "presence", room: "lobby", joined: [bob], left: [], count: 3 });
    expect(socket.of("presence").length).toBe(1);
    socket.ok("presence", { count: 3, members: [alice, bob, carol] });
    expect(room.presence.value).toEqual({ count: 3, members: [alice, bob, carol] });
  });

  it("is only a number in a large room, until it is small again", async () => {
    const { room, socket } = await inLobby();
    socket.tell({ type: "presence", room: "lobby", count: 101 });
    expect(room.presence.value).toEqual({ count: 101 });
    socket.tell({ type: "presence", room: "lobby", joined: [bob], left: [], count: 2 });
    socket.ok("presence", { count: 2, members: [alice, bob] });
    expect(room.presence.value).toEqual({ count: 2, members: [alice, bob] });
  });

  it("is asked for when the join did not say it, and again when that can't be answered", async () => {
    const { room } = await inLobby();
    await cut(0, { members: undefined });
    const socket = FakeSocket.last;
    expect(socket.of("presence").length).toBe(1);
    socket.refuse("presence", "unavailable", { retry_after_ms: 400 });
    await settle(400);
    expect(socket.of("presence").length).toBe(2);
    socket.ok("presence", { count: 5_000 });
    expect(room.presence.value).toEqual({ count: 5_000 });
  });
});

describe("typing", () => {
  it("is said every 3 s at most, and ended 6 s after the last key", async () => {
    const { room, socket } = await inLobby();
    const said = () => socket.of("typing").map(({ on }) => on);
    for (let ms = 0; ms < 7_000; ms += 500) {
      room.type();
      await settle(500);
    }
    expect(said()).toEqual([true, true, true]);
    await settle(5_499);
    expect(said()).toEqual([true, true, true]);
    await settle(1);
    expect(said()).toEqual([true, true, true, false]);
    room.type(false);
    expect(said().length).toBe(4);
    room.type();
    room.type(false);
    expect(said().slice(4)).toEqual([true, false]);
  });

  it("ends by the message itself", async () => {
    const { room, socket } = await inLobby();
    room.type();
    void room.send("it");
    await settle(10_000);
    room.type();
    expect(socket.of("typing").map(({ on }) => on)).toEqual([true, true]);
  });

  it("is not said where there is nobody to hear it, and a refusal is nobody's matter", async () => {
    const { chat, room, socket } = await inLobby();
    const errors: unknown[] = [];
    chat.on("error", (error) => errors.push(error));
    room.type();
    socket.refuse("typing", "forbidden");
    socket.end(1006);
    await settle(3_000);
    room.type();
    FakeSocket.last.up();
    expect([errors, FakeSocket.last.of("typing")]).toEqual([[], []]);
  });

  it("of others ends by their word, by their message, by itself and with the connection", async () => {
    const { room, socket } = await inLobby();
    const heard = (from: string, on: boolean) => socket.tell({ type: "typing", room: "lobby", from, on });
    const changes: (readonly string[])[] = [];
    room.typing.subscribe((users) => changes.push(users));
    heard("alice", true);
    heard("bob", true);
    heard("carol", true);
    heard("carol", true);
    socket.message(1);
    heard("carol", false);
    expect(changes).toEqual([["bob"], ["bob", "carol"], ["carol"], []]);
    heard("bob", true);
    await settle(4_000);
    heard("bob", true);
    await settle(5_999);
    expect(room.typing.value).toEqual(["bob"]);
    await settle(1);
    expect(room.typing.value).toEqual([]);
    heard("bob", true);
    socket.end(1006);
    expect(room.typing.value).toEqual([]);
  });
});

describe("read markers", () => {
  const at = (seq: number) => ({ epoch: "e", seq });

  it("of everybody come with the join, and move", async () => {
    const { room, socket } = await inLobby();
    await cut(0, { markers: [{ user: "bob", ...at(1) }] });
    FakeSocket.last.tell({ type: "read", room: "lobby", markers: [{ user: "bob", ...at(3) }, { user: "carol", ...at(2) }] });
    expect(room.markers.value).toEqual([{ user: "bob", ...at(3) }, { user: "carol", ...at(2) }]);
    await cut(0);
    expect([room.markers.value, socket.of("read")]).toEqual([[], []]);
  });

  it("of one's own go together, only forward, and until they have arrived", async () => {
    const { room, socket } = await inLobby();
    const said = () => FakeSocket.last.of("read").map(({ target }) => (target as { seq: number }).seq);
    for (const seq of [1, 3, 2]) room.read(at(seq));
    await settle(250);
    expect(said()).toEqual([3]);
    room.read(at(3));
    room.read(at(2));
    await settle(250);
    expect(said()).toEqual([3]);
    socket.refuse("read", "unavailable", { retry_after_ms: 300 });
    await settle(300);
    expect(said()).toEqual([3, 3]);
    await cut(0);
    expect(said()).toEqual([3]);
    FakeSocket.last.ok("read");
    await cut(0);
    expect(said()).toEqual([]);
    // Of a whole event or marker only the position goes out.
    const marker = { ...at(4), user: "a marker's" };
    room.read(marker);
    await settle(250);
    expect(FakeSocket.last.of("read")[0]!.target).toEqual(at(4));
  });
});
