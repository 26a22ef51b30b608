/** Two people chat through nginx on three nodes, and everything fails once: nobody misses a line or sees one twice, and each is told what happens. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Stage } from "../stage.ts";
import { launch } from "./browser.ts";
import { Person, type Line } from "./chat-person.ts";

const ROOM = "story";
/** What the browser itself reports when the network is away. */
const EXPECTED = /net::ERR_|WebSocket connection to|Failed to load resource/;
/** In ms, between the lines of one person. */
const PACE = 200;

let stage: Stage;
let browser: Browser;

beforeAll(async () => {
  [stage, browser] = await Promise.all([Stage.start(), launch()]);
});

afterAll(async () => {
  await browser?.close();
  await stage?.close();
});

test("a node is killed, Redis restarts, a network is cut: each line is there once, in one order, and the status says what happens", async () => {
  const alice = await Person.enter(stage, browser, "alice", ROOM);
  const bob = await Person.enter(stage, browser, "bob", ROOM, { colorScheme: "dark" });
  const people = [alice, bob];
  const silence = talk(people);
  await saysMore(alice, bob);

  // The node that Alice is on is killed.
  let from = alice.statuses.length;
  const node = nodeOf(alice);
  await stage.kill(node);
  await alice.shows(/^reconnecting in \d+ s/, from);
  await alice.shows(/^(connected to node-\d|caught up: \d+ messages?)/, from);
  await saysMore(alice, bob);
  await stage.start(node);

  // Redis restarts. The connections stay, and nothing goes through.
  const marks = people.map(({ statuses }) => statuses.length);
  await stage.killRedis();
  await stage.lostRedis();
  for (const [index, person] of people.entries()) await person.shows(/^sending is held up: \d+ waits?$/, marks[index]);
  await saysMore(alice, bob);
  await stage.startRedis();
  await Promise.all(people.map((person) => person.sent()));
  for (const person of people) await person.shows(/^(connected to node-\d|caught up: \d+ messages?)/);
  await saysMore(alice, bob);

  // Bob's network is gone, until much was said without him. What Chromium leaves open is cut as well; Alice is back at once.
  from = bob.statuses.length;
  await bob.context.setOffline(true);
  await stage.cut();
  await bob.shows(/^offline: this device has no network/, from);
  // What Alice says is in the log, and not only on her screen.
  const missed = await logged(alice);
  await expect.poll(() => logged(alice)).toBeGreaterThanOrEqual(missed + 5);
  await bob.context.setOffline(false);
  await bob.shows(/^caught up: ([5-9]|\d\d+) messages/, from);
  await saysMore(alice, bob);

  await silence();
  await Promise.all(people.map((person) => person.sent()));
  const truth = (await stage.log(ROOM)).map(({ epoch, seq, data }): Line => ({ epoch, seq, text: (data as { text: string }).text, state: "sent" }));
  expect(truth.map(({ text }) => text).sort(), "the log has what was said, once").toEqual(people.flatMap(({ said }) => said).sort());
  for (const { user, said } of people) {
    expect(truth.map(({ text }) => text).filter((text) => text.startsWith(user)), `what ${user} said is in the log in that order`).toEqual(said);
  }
  for (const person of people) await expect.poll(() => person.everything(), { message: `what ${person.user} sees` }).toEqual(truth);
  for (const { user, faults } of people) expect(faults.filter((fault) => !EXPECTED.test(fault)), `what went wrong on ${user}'s page`).toEqual([]);
});

/** Lets each say a line now and then, until told to stop. */
function talk(people: readonly Person[]): () => Promise<void> {
  let on = true;
  const talks = people.map(async (person) => {
    while (on) {
      await person.say(`${person.user} ${person.said.length}`);
      await sleep(PACE);
    }
  });
  const ended = Promise.all(talks).then(() => {});
  // When the test breaks off, the browser goes away under them.
  ended.catch(() => {});
  return () => {
    on = false;
    return ended;
  };
}

/** How many of somebody's lines are in the log. */
async function logged({ user }: Person): Promise<number> {
  return (await stage.log(ROOM)).filter(({ from }) => from === user).length;
}

/** Waits until each has said some lines more. */
async function saysMore(...people: readonly Person[]): Promise<void> {
  const enough = people.map(({ said }) => said.length + 5);
  await expect.poll(() => people.every(({ said }, index) => said.length >= enough[index]!)).toBe(true);
}

function nodeOf({ statuses }: Person): number {
  return Number(/node-(\d)/.exec(statuses.filter((status) => status.startsWith("connected to")).at(-1)!)![1]);
}
