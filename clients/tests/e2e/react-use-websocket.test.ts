/** The example for `react-use-websocket`: two people in real browsers, through nginx, while the network and the nodes fail. */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PATIENCE } from "../patience.ts";
import { Stage } from "../stage.ts";
import { launch, photograph } from "./browser.ts";
import { say, Site } from "./site.ts";

const example = fileURLToPath(new URL("../../examples/react-use-websocket", import.meta.url));

let folder: string;
let stage: Stage;
let browser: Browser;
let site: Site;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "chorus-react-use-websocket-"));
  site = await Site.start();
  [stage, browser] = await Promise.all([Stage.start({ origins: [site.origin] }), launch()]);
  const env = { ...process.env, NODE_ENV: "production", VITE_CHORUS_URL: stage.url };
  await promisify(execFile)("npx", ["vite", "build", "--outDir", folder, "--emptyOutDir"], { cwd: example, env });
  site.serve(folder, async (user) => JSON.stringify({ token: await stage.token(user) }));
});

afterAll(async () => {
  await browser?.close();
  site?.close();
  await stage?.close();
  if (folder) await rm(folder, { recursive: true });
});

test("what two people say arrives once and in order, whatever fails meanwhile", { timeout: 10 * PATIENCE }, async () => {
  const people = { alice: await site.visit(browser, "alice"), bob: await site.visit(browser, "bob") };
  for (const page of Object.values(people)) await has(page, /^Connected to node-\d/);
  const opened = await Promise.all(Object.values(people).map(watch));

  // With each, whether what was said before arrives while it lasts.
  const faults: [() => Promise<unknown>, boolean][] = [
    [() => stage.cut(), true],
    [() => stage.kill(0), true],
    [() => stage.start(0), true],
    [() => people.bob.context().setOffline(true).then(() => stage.cut()), false],
    [() => people.bob.context().setOffline(false), true],
    [() => stage.drain(1), true],
    [() => stage.start(1), true],
    [() => stage.killRedis(), false],
    [() => stage.startRedis(), true],
    [() => stage.cut(), true],
  ];
  const said: string[] = [];
  const saySome = async (turn: number) => {
    for (const [user, page] of Object.entries(people)) {
      await say(page, `${turn}`);
      said.push(`${user}: ${turn}`);
    }
  };
  for (const [turn, [fault, arrives]] of faults.entries()) {
    await saySome(turn);
    await fault();
    await saySome(turn + 0.5);
    if (arrives) await expect.poll(async () => (await log()).length, { timeout: 2 * PATIENCE, message: `${turn}` }).toBe(said.length);
  }

  const truth = await log();
  expect([...truth].sort()).toEqual([...said].sort());
  for (const user of Object.keys(people)) {
    const own = (lines: string[]) => lines.filter((line) => line.startsWith(user));
    expect(own(truth)).toEqual(own(said));
  }
  for (const page of Object.values(people)) await expect.poll(() => lines(page)).toEqual(truth);
  await photograph(people.alice, "react-use-websocket");
  // Or nothing was tested.
  for (const count of opened) expect(count()).toBeGreaterThanOrEqual(2);
});

/** How many sockets the page has opened since. */
async function watch(page: Page): Promise<() => number> {
  let count = 0;
  page.on("websocket", () => count++);
  return () => count;
}

/** Told by the node that no fault is meant for. */
async function log(): Promise<string[]> {
  return (await stage.log("lobby", 2)).map(({ from, data }) => `${from}: ${(data as { text: string }).text}`);
}

async function has(page: Page, status: RegExp): Promise<void> {
  await expect.poll(() => page.getByRole("status").textContent()).toMatch(status);
}

function lines(page: Page): Promise<string[]> {
  return page.locator("li").allTextContents();
}
