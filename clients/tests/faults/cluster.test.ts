/** Nodes and Redis fail, in every way they can, while people talk. */
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { Stage } from "../stage.ts";
import { Crowd } from "./crowd.ts";

let stage: Stage;
let crowd: Crowd;
beforeAll(async () => void (stage = await Stage.start()));
afterEach(() => crowd.leave());
afterAll(() => stage.close());

/** The node that nginx has chosen for whoever comes from here. */
function chosen(): number {
  const status = crowd.people[0]!.chat.status.value;
  if (status.state !== "connected") throw new Error("person-0 is not connected");
  return Number(status.node.replace("node-", ""));
}

it("a node is killed", async () => {
  crowd = await Crowd.gather(stage);
  await crowd.acknowledged(40);
  const node = chosen();
  await stage.kill(node);
  await crowd.acknowledged(60);
  await stage.start(node);
  await crowd.until("everybody is back", () => crowd.isThere());
  await crowd.acknowledged(40);
  await crowd.agrees();
});

it("every node is drained and started again, one after the other", async () => {
  crowd = await Crowd.gather(stage);
  const told: unknown[] = [];
  for (const { chat } of crowd.people) chat.on("closing", ({ code, reason }) => told.push([code, reason]));
  for (let node = 0; node < 3; node++) {
    await crowd.acknowledged(20);
    await stage.drain(node);
    await stage.start(node);
  }
  await crowd.until("everybody is back", () => crowd.isThere());
  await crowd.acknowledged(40);
  await crowd.agrees();
  expect(told.length).toBeGreaterThanOrEqual(6);
  expect(told).toContainEqual([1012, "restart"]);
});

it("Redis is stopped and started", async () => {
  crowd = await Crowd.gather(stage);
  await crowd.acknowledged(40);
  await stage.stopRedis();
  await stage.lostRedis();
  await stage.startRedis();
  await crowd.acknowledged(60);
  await crowd.agrees();
});

it("Redis is killed and started", async () => {
  crowd = await Crowd.gather(stage);
  await crowd.acknowledged(40);
  await stage.killRedis();
  await stage.startRedis();
  await crowd.acknowledged(60);
  await crowd.agrees();
});
