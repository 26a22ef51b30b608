/** A client that reads too slowly: the server lets it go, and it comes back to where it was. */
import { connect, type Options } from "chorus-client";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { PATIENCE } from "../patience.ts";
import { Stage } from "../stage.ts";
import { Socket } from "./crowd.ts";

/** About as much as a message may be: what the system keeps for a slow reader is soon full. */
const TEXT = "x".repeat(16_000);
const TALKERS = 6;

let stage: Stage;
beforeAll(async () => void (stage = await Stage.start({ config: "[limits]\nslow_consumer_ms = 500\n" })));
afterAll(() => stage.close());

it("is told so, and misses nothing", async () => {
  const open: InstanceType<typeof Socket>[] = [];
  const Watched = class extends Socket {
    constructor(url: string, protocols?: string | string[]) {
      super(url, protocols);
      open.push(this);
    }
  };
  const start = async (user: string, options: Options) => connect(stage.node(0), { token: await stage.token(user), ...options });
  const slow = await start("slow", { WebSocket: Watched });
  const talkers = await Promise.all(Array.from({ length: TALKERS }, (_, number) => start(`talker-${number}`, { WebSocket: Socket })));
  try {
    const room = slow.join("slow");
    const seen: number[] = [];
    const resets: unknown[] = [];
    const reasons: string[] = [];
    room.on("event", ({ seq }) => seen.push(seq));
    room.on("reset", (reset) => resets.push(reset));
    slow.status.subscribe((status) => status.state === "waiting" && reasons.push(status.reason));
    await vi.waitFor(() => expect(room.status.value.state).toBe("joined"), PATIENCE);

    open[0]!.pause();
    const closed = async () => (await (await fetch(`http://${stage.about.nodes[0]}/metrics`)).text()).match(/reason="slow_consumer"\} [1-9]/);
    let gone = false;
    const talk = Promise.all(
      talkers.map(async (talker) => {
        const voice = talker.join("slow");
        while (!gone) await voice.send(TEXT);
      }),
    );
    await vi.waitFor(async () => expect(await closed()).toBeTruthy(), { timeout: PATIENCE, interval: 50 });
    gone = true;
    await talk;
    open[0]!.resume();
    const log = await stage.log("slow");
    await vi.waitFor(() => expect(seen.length).toBe(log.length), { timeout: PATIENCE, interval: 50 });
    expect(seen).toEqual(log.map(({ seq }) => seq));
    expect(resets).toEqual([]);
    expect(reasons[0]).toBe("slow_consumer");
  } finally {
    for (const chat of [slow, ...talkers]) chat.close();
  }
});
