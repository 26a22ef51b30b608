/** Clients for whom no WebSocket comes through. */
import { connect } from "chorus-client";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import { PATIENCE } from "../patience.ts";
import { Stage } from "../stage.ts";
import { Crowd, Socket } from "./crowd.ts";

let stage: Stage;
let crowd: Crowd | undefined;
beforeAll(async () => void (stage = await Stage.start()));
afterEach(() => crowd?.leave());
afterAll(() => stage.close());

it("live on event streams while the network is cut and a node drains", async () => {
  crowd = await Crowd.gather(stage, { transports: ["sse"] });
  for (let cut = 0; cut < 3; cut++) {
    await crowd.acknowledged(40);
    await stage.cut();
  }
  await crowd.acknowledged(40);
  await stage.drain(1);
  await stage.start(1);
  await crowd.until("everybody is back", () => crowd!.isThere());
  await crowd.acknowledged(40);
  await crowd.agrees();
  expect(crowd.people.map(({ chat }) => chat.status.value)).toEqual(Array(6).fill(expect.objectContaining({ transport: "sse" })));
});

it("find that out by themselves, and talk with those who have one", async () => {
  // Nobody listens there.
  const Blocked = class extends Socket {
    constructor() {
      super("ws://127.0.0.1:1");
    }
  };
  const blocked = connect(stage.url, { token: await stage.token("blocked"), WebSocket: Blocked });
  const free = connect(stage.url, { token: await stage.token("free"), WebSocket: Socket });
  try {
    const [here, there] = [blocked, free].map((chat) => chat.join("between"));
    const heard: unknown[] = [];
    for (const room of [here!, there!]) room.on("message", ({ from, data }) => heard.push([room === here, from, data]));
    await vi.waitFor(() => expect([here!, there!].map((room) => room.status.value.state)).toEqual(["joined", "joined"]), PATIENCE);
    expect(blocked.status.value).toMatchObject({ state: "connected", transport: "sse" });
    await here!.send("from a stream");
    await there!.send("from a socket");
    await vi.waitFor(() => expect(heard.length).toBe(4), PATIENCE);
    for (const seat of [true, false]) {
      expect(heard.filter(([at]: any) => at === seat)).toEqual([[seat, "blocked", "from a stream"], [seat, "free", "from a socket"]]);
    }
    // A busy server may drop that: whoever has to be seen goes on typing.
    const type = () => (here!.type(), there!.typing.value);
    await vi.waitFor(() => expect(type()).toEqual(["blocked"]), PATIENCE);
    await vi.waitFor(() => expect(here!.presence.value.members?.map(({ user }) => user).sort()).toEqual(["blocked", "free"]), PATIENCE);
    here!.read(here!.position!);
    await vi.waitFor(() => expect(there!.markers.value).toMatchObject([{ user: "blocked" }]), PATIENCE);
  } finally {
    blocked.close();
    free.close();
  }
});

it("keep their other rooms when one is refused", async () => {
  const chat = connect(stage.url, { token: await stage.token("alice", { rooms: { "open-*": "rw" } }), transports: ["sse"] });
  try {
    const [one, secret, two] = ["open-1", "secret", "open-2"].map((room) => chat.join(room));
    await vi.waitFor(() => expect([one, secret, two].map((room) => room!.status.value.state)).toEqual(["joined", "left", "joined"]), PATIENCE);
    expect(secret!.status.value).toMatchObject({ error: { code: "forbidden" } });
    expect((await one!.send(1)).seq).toBe(1);
  } finally {
    chat.close();
  }
});
