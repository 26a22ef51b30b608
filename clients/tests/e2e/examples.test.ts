/** The examples, each against a real cluster and a bad network: what they hear and what they say is the log, once and in order. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { PATIENCE } from "../patience.ts";
import { Stage } from "../stage.ts";
import { launch } from "./browser.ts";
import { build, examples, Tab, Terminal, type Person, type Place } from "./people.ts";
import { Site } from "./site.ts";

const KINDS = ["browser", "node", "python", "go"] as const;
type Kind = (typeof KINDS)[number];

/** How much each says. */
const EACH = 30;
/** The node that nothing happens to. */
const CALM = 2;
/**
 * Rooms that begin with `brief:` forget soon, also what a node would remember of one that was just left: by presence it would
 * keep the room until it has told who left. And a dead connection is found in seconds.
 */
const CONFIG = "[namespaces.brief]\nhistory_length = 30\npresence = false\n[rooms]\nlinger_ms = 0\n[heartbeat]\ninterval_ms = 2000\n";

const folder = mkdtempSync(join(tmpdir(), "chorus-examples-"));
let stage: Stage;
let browser: Browser;
let site: Site;
let program: string;
let present: Person[] = [];

beforeAll(async () => {
  site = await Site.start();
  // The page asks its user for a token.
  site.serve(join(examples, "browser"), async () => "");
  [stage, browser, program] = await Promise.all([Stage.start({ origins: [site.origin], config: CONFIG }), launch(), build(folder)]);
});

afterEach(async () => {
  await Promise.all(present.map((person) => person.kill()));
  present = [];
});

afterAll(async () => {
  await browser?.close();
  await stage?.close();
  site?.close();
  rmSync(folder, { recursive: true });
});

test("whatever fails, each hears everybody once and in order, and is heard so", async () => {
  const room = "failing";
  const people = new Map<Kind, Person>();
  for (const kind of KINDS) people.set(kind, await enter(kind, room));

  const nodes = new Set<string>();
  for (const person of people.values()) nodes.add(/node-\d/.exec((await person.notes()).join())![0]);
  expect(nodes.size, "they are on all gateways").toBe(3);

  const said = (kind: Kind) => Array.from({ length: EACH }, (_, index) => `${kind} ${index}`);
  const talk = async (kind: Kind) => {
    for (const text of said(kind)) {
      await people.get(kind)!.say(text);
      await sleep(50 + Math.random() * 100);
    }
  };
  // Each fault comes when so much was said in all, so that there is always something to lose.
  const faults: [number, () => Promise<unknown>][] = [
    [10, () => stage.cut()],
    [30, () => stage.kill(0)],
    [50, () => stage.start(0)],
    [60, () => stage.drain(1)],
    [80, () => stage.start(1)],
    [90, () => stage.cut()],
  ];
  const fail = async () => {
    for (const [after, fault] of faults) {
      await until(`${after} messages`, async () => (await log(room)).length >= after, ...people.values());
      await fault();
    }
  };
  await Promise.all([fail(), ...KINDS.map(talk)]);

  await until("all of it to be in the log", async () => (await log(room)).length >= KINDS.length * EACH, ...people.values());
  const truth = await log(room);
  expect(truth).toHaveLength(KINDS.length * EACH);
  for (const [kind, person] of people) {
    const own = truth.filter((line) => line.startsWith(`${kind}: `));
    expect(own, `what ${kind} said`).toEqual(said(kind).map((text) => `${kind}: ${text}`));
    await until(`${kind} to hear all`, async () => (await person.heard()).length >= truth.length, person);
    expect(await person.heard(), kind).toEqual(truth);
    const notes = await person.notes();
    expect(notes.filter((note) => /reconnecting/i.test(note)).length, `${kind} was disturbed: ${notes}`).toBeGreaterThanOrEqual(2);
    expect(notes.join(), kind).not.toMatch(/missing/);
  }
  // They end at the end of their input, and nothing came after what was compared.
  for (const [kind, person] of people) {
    const heard = person.heard;
    if (kind === "browser") expect(await heard(), kind).toEqual(truth);
    expect(await person.leave(), `${kind}: ${kind === "browser" || (await person.notes())}`).toBe(0);
    if (kind !== "browser") expect(await heard(), kind).toEqual(truth);
  }
});

test("what is said without a network is sent with it, and what is lost is told", async () => {
  const room = (kind: Kind) => `brief:${kind}`;
  const people = await gather(KINDS, room);
  await each(people, async (kind, person) => {
    await person.say("before");
    await until(`${kind} to hear itself`, async () => (await person.heard()).length > 0, person);
  });
  await stage.refuse(true);
  try {
    await each(people, async (kind, person) => {
      await until(`${kind} to notice`, noted(person, /reconnecting/i), person);
      await person.say("meanwhile");
      // The room keeps thirty: it can't be told all that was said. Redis forgets 4 KiB at once, which must not be all of it.
      const padding = "-".repeat(400);
      for (let index = 0; index < 60; index += 1) await stage.post(room(kind), { text: `${index}`, padding }, CALM);
    });
  } finally {
    await stage.refuse(false);
  }
  await each(people, async (kind, person) => {
    const own = `${kind}: meanwhile`;
    await until(`${kind} to hear`, async () => (await person.heard()).at(-1) === own, person);
    const [first, ...rest] = await person.heard();
    expect(first).toBe(`${kind}: before`);
    const truth = await log(room(kind));
    expect(truth.filter((line) => line === own), kind).toHaveLength(1);
    expect(truth, kind).toEqual(rest.slice(-truth.length));
    expect(rest.length, kind).toBeLessThan(60);
    expect(await noted(person, /missing/)(), `${kind} is told: ${await person.notes()}`).toBe(true);
  });
});

test("what the server has, and could not say so, is not said twice", async () => {
  const room = (kind: Kind) => `unanswered-${kind}`;
  const people = await gather(KINDS, room);
  await each(people, async (kind, person) => {
    await person.say("before");
    await until(`${kind} to hear itself`, async () => (await person.heard()).length === 1, person);
  });
  await stage.stall(true);
  await each(people, async (kind, person) => {
    await person.say("first");
    await until(`what ${kind} says to be in the log`, async () => (await log(room(kind))).length === 2, person);
  });
  await stage.cut();
  await stage.stall(false);
  await each(people, async (kind, person) => {
    // It is said only after an answer to the first, which by then was sent again.
    await person.say("second");
    const truth = ["before", "first", "second"].map((text) => `${kind}: ${text}`);
    await until(`${kind} to hear all`, async () => (await person.heard()).at(-1) === truth.at(-1), person);
    expect(await person.heard(), kind).toEqual(truth);
    expect(await log(room(kind)), kind).toEqual(truth);
  });
});

test("a connection that has died without a word is given up", async () => {
  // Python's library finds it by pings of its own, once in 20 s.
  const people = await gather(["browser", "node", "go"], (kind) => `dead-${kind}`);
  await stage.stall(true);
  try {
    await each(people, (kind, person) => until(`${kind} to notice`, noted(person, /reconnecting/i), person));
  } finally {
    await stage.stall(false);
  }
  await each(people, async (kind, person) => {
    await person.say("back");
    await until(`${kind} to hear itself`, async () => (await person.heard()).at(-1) === `${kind}: back`, person);
  });
});

test("who is thrown out stays out", async () => {
  await each(await gather(KINDS, () => "thrown-out"), async (kind, person) => {
    await stage.call("POST", `users/${kind}/disconnect`, { node: CALM, body: {} });
    await isOver(kind, person, /1008.* kicked/);
  });
});

test("with a bad token nobody tries again", async () => {
  await Promise.all(KINDS.map(async (kind) => isOver(kind, await start(kind, "bad-token", "nonsense"), /1008.* auth_failed/)));
});

test("wscat: the line that the README shows", async () => {
  const readme = readFileSync(join(examples, "README.md"), "utf8");
  const line = /```sh\n# wscat\n([^]*?)```/.exec(readme)?.[1] ?? "";
  expect(line).toContain("ws://127.0.0.1:8080/ws");
  expect(line).toContain("lobby");
  // On a busy machine two seconds may be too few.
  expect(line).toContain("--wait 2 ");
  const command = line.replace("ws://127.0.0.1:8080/ws", stage.url).replaceAll("lobby", "one-line").replace("--wait 2 ", "--wait 5 ");
  await stage.post("one-line", { text: "was here before" }, CALM);
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, CHORUS_TOKEN: await stage.token("wscat") };
  // It ends by itself, after the seconds that the line gives it.
  const { stdout } = await promisify(execFile)("sh", ["-c", command], { cwd: examples, env });
  for (const word of ['"type":"welcome"', '"recovered":false', "was here before", '"from":"wscat"']) expect(stdout).toContain(word);
  expect(await log("one-line")).toEqual(["server: was here before", "wscat: hello"]);
});

/** Somebody who is in the room. */
async function enter(kind: Kind, room: string): Promise<Person> {
  const person = await start(kind, room, await stage.token(kind));
  await until(`${kind} to connect`, noted(person, /connected to/i), person);
  return person;
}

/** Somebody of each kind, in a room of its own or in one for all. */
async function gather(kinds: readonly Kind[], room: (kind: Kind) => string): Promise<[Kind, Person][]> {
  return Promise.all(kinds.map(async (kind): Promise<[Kind, Person]> => [kind, await enter(kind, room(kind))]));
}

/** What befalls all of them befalls them at once; what each makes of it is its own. */
async function each(people: readonly [Kind, Person][], act: (kind: Kind, person: Person) => Promise<void>): Promise<void> {
  await Promise.all(people.map(([kind, person]) => act(kind, person)));
}

async function isOver(kind: Kind, person: Person, why: RegExp): Promise<void> {
  await until(`${kind} to end`, async () => person.ended() === 1, person);
  const notes = (await person.notes()).join();
  expect(notes, kind).toMatch(why);
  expect(notes, kind).not.toMatch(/reconnecting/i);
}

async function start(kind: Kind, room: string, token: string): Promise<Person> {
  const place: Place = { url: stage.url, room, token };
  const starts = {
    browser: () => Tab.enter(browser, site, place),
    node: () => Terminal.node(place),
    python: () => Terminal.python(place),
    go: () => new Terminal(program, [], "go", place),
  };
  const person = await starts[kind]();
  present.push(person);
  return person;
}

async function until(what: string, holds: () => Promise<boolean>, ...people: Person[]): Promise<void> {
  for (const end = Date.now() + 2 * PATIENCE; !(await holds()); await sleep(20)) {
    if (Date.now() < end) continue;
    const stories = await Promise.all(people.map(async (person) => ({ notes: await person.notes(), heard: await person.heard() })));
    throw new Error(`waited in vain for ${what}: ${JSON.stringify(stories, null, 1)}`);
  }
}

function noted(person: Person, word: RegExp): () => Promise<boolean> {
  return async () => (await person.notes()).some((note) => word.test(note));
}

/** The log as who is in the room should print it. */
async function log(room: string): Promise<string[]> {
  const events = await stage.log(room, CALM);
  return events.map(({ from, data }) => `${from}: ${(data as { text: string }).text}`);
}
