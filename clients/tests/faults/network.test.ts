/** The network between the clients and nginx fails, in every way it can, while people talk. */
import { afterAll, afterEach, beforeAll, it } from "vitest";
import { Stage } from "../stage.ts";
import { Crowd } from "./crowd.ts";

let stage: Stage;
let crowd: Crowd;
beforeAll(async () => void (stage = await Stage.start()));
afterEach(() => crowd.leave());
afterAll(() => stage.close());

it("is cut again and again", async () => {
  crowd = await Crowd.gather(stage);
  for (let cut = 0; cut < 5; cut++) {
    await crowd.acknowledged(40);
    await stage.cut();
  }
  await crowd.acknowledged(40);
  await crowd.agrees();
});

it("lets nobody in for a while", async () => {
  crowd = await Crowd.gather(stage);
  await crowd.acknowledged(40);
  await stage.refuse(true);
  // Whoever is at a node itself talks on: the others have something to catch up with.
  await crowd.acknowledged(40);
  await crowd.until("the others have tried in vain", () => crowd.people.slice(0, 4).every(({ chat }) => "attempt" in chat.status.value && chat.status.value.attempt > 2));
  await stage.refuse(false);
  await crowd.until("everybody is back", () => crowd.isThere());
  await crowd.acknowledged(40);
  await crowd.agrees();
});

it("falls silent, and is found dead", async () => {
  crowd = await Crowd.gather(stage);
  await crowd.acknowledged(40);
  await stage.stall(true);
  const stalled = crowd.people.slice(0, 4);
  // As when the page is looked at again.
  for (const { chat } of stalled) chat.reconnect();
  await crowd.until("they have noticed", () => stalled.every(({ chat }) => chat.status.value.state !== "connected"));
  await stage.stall(false);
  await crowd.until("everybody is back", () => crowd.isThere());
  await crowd.acknowledged(40);
  await crowd.agrees();
});

it("holds everything up for a while, and delivers it at once", async () => {
  crowd = await Crowd.gather(stage);
  for (let round = 0; round < 3; round++) {
    await crowd.acknowledged(40);
    await stage.stall(true);
    await crowd.acknowledged(40);
    await stage.stall(false);
  }
  await crowd.acknowledged(40);
  await crowd.agrees();
});
