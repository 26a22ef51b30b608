/** A crowd from one address, more than `nginx/handshakes.conf` lets in at once: who is held back waits, who is refused comes later. */
import { connect, type Status } from "chorus-client";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { PATIENCE } from "../patience.ts";
import { Stage } from "../stage.ts";
import { Socket } from "./crowd.ts";

/** 100 are let in at once, and 100 more are held back, at 20 in a second. */
const CROWD = 260;

let stage: Stage;
beforeAll(async () => void (stage = await Stage.start({ nginx: "include handshakes.conf;" })));
afterAll(() => stage.close());

it("everybody gets in, and nobody insists", async () => {
  const token = await stage.token("crowd");
  const states: Status["state"][] = [];
  const began = Date.now();
  const chats = Array.from({ length: CROWD }, () => connect(`ws://${stage.about.nginx}/ws`, { token, WebSocket: Socket, transports: ["websocket"] }));
  try {
    for (const chat of chats) {
      chat.status.subscribe(({ state }) => states.push(state));
      chat.join("lobby");
    }
    await vi.waitFor(() => expect(chats.filter((chat) => chat.status.value.state === "connected").length).toBe(CROWD), PATIENCE);
    const count = (wanted: Status["state"]) => states.filter((state) => state === wanted).length;
    console.log(`${CROWD} clients of one address were in after ${Date.now() - began} ms; ${count("waiting")} handshakes were refused`);
    expect(count("closed")).toBe(0);
    // Those over 200 were refused at least once, and then waited for longer and longer.
    expect(count("waiting")).toBeGreaterThan(0);
    expect(count("waiting")).toBeLessThan((CROWD - 200) * 10);
  } finally {
    for (const chat of chats) chat.close();
  }
});
