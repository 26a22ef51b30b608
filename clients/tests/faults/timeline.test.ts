/** A timeline is the log, whether it was there from the beginning, came late and loaded page by page, or was away meanwhile. */
import { connect, type Chat, type ChorusError, type Sent } from "chorus-client";
import { type Entry, Timeline } from "chorus-client/timeline";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import WebSocket from "ws";
import { PATIENCE } from "../patience.ts";
import { Stage } from "../stage.ts";

/** Changes to the room, of which each amends one of those that were said before. */
const STEPS = 120;

let stage: Stage;
let chats: Chat[] = [];
beforeAll(async () => void (stage = await Stage.start()));
afterEach(() => {
  for (const chat of chats) chat.close();
  chats = [];
});
afterAll(() => stage.close());

async function enter(user: string): Promise<Chat> {
  const chat = connect(stage.url, { token: await stage.token(user), WebSocket });
  chats.push(chat);
  return chat;
}

/** What a reader sees of an entry, without what only its own client knows. */
function seen(timeline: Timeline): object[] {
  return timeline.value.entries.map((entry: Entry) => {
    if (entry.kind === "gap") return { gap: entry.state };
    const { position, from, data, edited, deleted, reactions, state } = entry;
    return { position, from, data, edited, deleted, reactions, state };
  });
}

/** Waits until a timeline shows just what the log has, each once and in order. */
async function complete(timeline: Timeline, count: number): Promise<void> {
  const places = () => timeline.value.entries.map((entry) => (entry.kind === "gap" ? entry.state : (entry.position?.seq ?? entry.state)));
  await vi.waitFor(async () => {
    const log = (await stage.log("timelines")).filter(({ type }) => type === "message");
    expect(log).toHaveLength(count);
    expect(places()).toEqual(log.map(({ seq }) => seq));
  }, PATIENCE);
}

it("who was there, who came late, who was cut off and who speaks see the same", async () => {
  const alice = await enter("alice");
  const mine = new Timeline(alice.join("timelines"), alice);
  const bob = await enter("bob");
  const room = bob.join("timelines");
  const early = new Timeline(room, bob);
  const said: Sent[] = [];
  let messages = 0;
  for (let step = 0; step < STEPS; step++) {
    const target = said[(step * 7) % (said.length || 1)];
    const act = step % 6;
    if (step === STEPS / 3 || step === STEPS / 2) await stage.cut();
    if (act === 0) mine.send(`alice ${step}`);
    else if (act < 3 || !target) said.push(await room.send(`bob ${step}`));
    else {
      const amend = [
        () => room.react(target, step % 4 ? "+" : "-", step % 5 !== 0),
        () => room.edit(target, `edited ${step}`),
        () => room.delete(target),
      ][act - 3]!;
      // What was deleted before can't be amended any more.
      await amend().catch((error: ChorusError) => expect(error.code).toBe("not_found"));
    }
    if (act === 0 || act < 3 || !target) messages++;
  }

  // Something may have been said before they were in.
  for (const timeline of [mine, early]) while (timeline.value.older === "more") await timeline.loadOlder();

  const carol = await enter("carol");
  const late = new Timeline(carol.join("timelines", { recent: 10 }), carol);
  await vi.waitFor(() => expect(late.value.older).toBe("more"), PATIENCE);
  while (late.value.older === "more") await late.loadOlder(7);
  for (const timeline of [early, late, mine]) await complete(timeline, messages);
  await vi.waitFor(() => expect(seen(early)).toEqual(seen(late)), PATIENCE);
  await vi.waitFor(() => expect(seen(mine)).toEqual(seen(late)), PATIENCE);

  const log = await stage.log("timelines");
  // Or nothing was tested.
  for (const type of ["edit", "delete", "reaction"]) expect(log.map((event) => event.type)).toContain(type);
  expect(seen(late).filter((entry) => "deleted" in entry && entry.deleted).length).toBeGreaterThan(3);
});
