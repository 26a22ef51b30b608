/** Tokens that end while people talk. */
import { connect, type Options, type TokenReason } from "chorus-client";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { PATIENCE } from "../patience.ts";
import { Stage } from "../stage.ts";
import { Socket } from "./crowd.ts";

let stage: Stage;
beforeAll(async () => void (stage = await Stage.start()));
afterAll(() => stage.close());

describe.concurrent.each(["websocket", "sse"] as const)("by %s", (transport) => {
  const options: Options = { transports: [transport], WebSocket: Socket };

  it("they are renewed in time, and the connection stays", async () => {
    const reasons: TokenReason[] = [];
    // Each is renewed as soon as it is there. That has to be done while the first is good, also on a busy machine.
    const seconds = [8, 9, 60];
    const chat = connect(stage.url, {
      ...options,
      getToken: (reason) => {
        reasons.push(reason);
        return stage.token("alice", { seconds: seconds[reasons.length - 1]! });
      },
    });
    try {
      const room = chat.join(`renewed-${transport}`);
      const seen: unknown[] = [];
      const states = new Set<string>();
      room.on("message", ({ data }) => seen.push(data));
      await room.send(0);
      chat.status.subscribe(({ state }) => states.add(state));
      await vi.waitFor(() => expect(reasons.length).toBeGreaterThanOrEqual(3), PATIENCE);
      // Past the end of the first two: they were there when the third was asked for.
      const end = Date.now() + 10_000;
      const sent: number[] = [0];
      for (let count = 1; Date.now() < end; count++) {
        await room.send(count);
        sent.push(count);
        await new Promise((go) => setTimeout(go, 100));
      }
      await vi.waitFor(() => expect(seen).toEqual(sent), PATIENCE);
      expect(reasons).toEqual(["first", "renew", "renew"]);
      // A stream is made anew for each token, but to the application it is one.
      expect([...states].filter((state) => state !== "connected")).toEqual([]);
    } finally {
      chat.close();
    }
  });

  it("one that ended is replaced, and nothing is lost", async () => {
    const reasons: TokenReason[] = [];
    const chat = connect(stage.url, {
      ...options,
      getToken: async (reason) => {
        reasons.push(reason);
        if (reason === "renew" && reasons.filter((each) => each === "expired").length === 0) throw new Error("not now");
        return stage.token("bob", { seconds: reason === "first" ? 2 : 60 });
      },
    });
    const other = connect(stage.url, { ...options, token: await stage.token("carol") });
    try {
      const name = `replaced-${transport}`;
      const room = chat.join(name);
      const seen: number[] = [];
      room.on("event", ({ seq }) => seen.push(seq));
      await room.send(0);
      const voice = other.join(name);
      while (!reasons.includes("expired")) {
        await voice.send("meanwhile");
        await new Promise((go) => setTimeout(go, 20));
      }
      await room.send("back");
      await voice.send("last");
      const log = await stage.log(name);
      await vi.waitFor(() => expect(seen).toEqual(log.map(({ seq }) => seq)), PATIENCE);
      expect(chat.status.value.state).toBe("connected");
    } finally {
      chat.close();
      other.close();
    }
  });

  it("one that can't be replaced is the end, and says so", async () => {
    const chat = connect(stage.url, { ...options, token: await stage.token("dave", { seconds: 6 }) });
    const room = chat.join(`ended-${transport}`);
    await room.send(0);
    await vi.waitFor(() => expect(chat.status.value).toMatchObject({ state: "closed", error: { code: "token_expired", closeCode: 4401 } }), PATIENCE);
    expect(room.status.value.state).toBe("left");
    await expect(room.send(1)).rejects.toMatchObject({ code: "closed" });
    const bad = connect(stage.url, { ...options, token: "not a token" });
    bad.join("anywhere");
    await vi.waitFor(() => expect(bad.status.value).toMatchObject({ state: "closed", error: { code: "auth_failed", closeCode: 1008 } }), PATIENCE);
  });
});
