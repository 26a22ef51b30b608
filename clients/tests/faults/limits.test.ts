/** The server's limits: what a client is held to by itself, so that a burst is slow and not refused. */
import { connect, type Json } from "chorus-client";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { PATIENCE } from "../patience.ts";
import { Stage } from "../stage.ts";
import { Socket } from "./crowd.ts";

const ROOMS = 60;
const EACH = 3;

/** Arrays in arrays, so many. The frame around them is one level more. */
function nested(levels: number): Json {
  return levels ? [nested(levels - 1)] : 1;
}

let stage: Stage;
beforeAll(async () => void (stage = await Stage.start()));
afterAll(() => stage.close());

it("a burst over many rooms is held back, also over a reconnect", async () => {
  const chat = connect(stage.url, { token: await stage.token("busy"), WebSocket: Socket });
  const said = { out: 0, refused: [] as string[] };
  const states: string[] = [];
  chat.status.subscribe(({ state }) => states.push(state));
  chat.on("frame", ({ out, text }) => {
    if (out) said.out++;
    else if (text.includes('"error"')) said.refused.push(text);
  });
  try {
    const rooms = Array.from({ length: ROOMS }, (_, number) => chat.join(`burst-${number}`));
    const sends = rooms.flatMap((room) => Array.from({ length: EACH }, (_, count) => room.send(count)));
    // Amid the first messages.
    await Promise.any(sends);
    await stage.cut();
    const sent = await Promise.all(sends);
    // What was appended before the cut may be answered as a duplicate after it.
    expect(sent.map(({ seq }) => seq)).toEqual(rooms.flatMap(() => [1, 2, 3]));
    expect(said.refused).toEqual([]);
    expect(said.out).toBeGreaterThan(ROOMS * (EACH + 1));
    expect(states).not.toContain("closed");
  } finally {
    chat.close();
  }
});

it("what is too large is refused by itself, and the connection stays", async () => {
  const chat = connect(stage.url, { token: await stage.token("large"), WebSocket: Socket });
  try {
    const room = chat.join("large");
    await vi.waitFor(() => expect(room.status.value.state).toBe("joined"), PATIENCE);
    const session = chat.status.value;
    // In the server's measure: bytes of JSON, of which two are the quotes.
    expect((await room.send("x".repeat(16_384 - 2))).seq).toBe(1);
    for (const data of ["x".repeat(16_384 - 1), "é".repeat(8_192), "x".repeat(200_000), nested(32)]) {
      await expect(room.send(data)).rejects.toMatchObject({ code: "too_large" });
    }
    expect((await room.send(nested(31))).seq).toBe(2);
    // What only the server can tell comes as its word.
    await expect(room.send(1, { id: "i".repeat(65) })).rejects.toMatchObject({ code: "bad_request" });
    expect((await room.send("small")).seq).toBe(3);
    expect(chat.status.value).toBe(session);
  } finally {
    chat.close();
  }
});
