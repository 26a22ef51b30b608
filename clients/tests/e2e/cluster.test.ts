/** The page of the live cluster, over three nodes behind nginx, while people talk. */
import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import type { Browser, Locator, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import WebSocket from "ws";
import { Stage, target } from "../stage.ts";
import { barriers, launch, open, photograph } from "./browser.ts";

/** Each says something so often, in ms: within the limits of a user. */
const PAUSE_MS = 200;

/** Somebody who is in a room on one node. */
class Person {
  readonly socket: WebSocket;
  close: { code: number; reason: string } | null = null;
  readonly #talk: ReturnType<typeof setInterval>;

  private constructor(socket: WebSocket, room: string) {
    this.socket = socket;
    socket.on("close", (code, reason) => (this.close = { code, reason: reason.toString() }));
    socket.on("error", () => {});
    const say = (frame: object) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify(frame));
    say({ type: "join", room, ref: 1 });
    this.#talk = setInterval(() => say({ type: "message", room, data: { text: "hello" } }), PAUSE_MS);
  }

  static async enter(stage: Stage, name: string, node: number, room: string): Promise<Person> {
    const headers = { authorization: `Bearer ${await stage.token(name)}` };
    const socket = new WebSocket(`ws://${stage.about.nodes[node]}/ws`, { headers });
    await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
    return new Person(socket, room);
  }

  leave(): void {
    clearInterval(this.#talk);
    this.socket.terminate();
  }
}

let stage: Stage;
let browser: Browser;
let people: Person[] = [];
let page: Page;
let faults: string[];

beforeAll(async () => {
  [stage, browser] = await Promise.all([Stage.start(), launch()]);
});
afterAll(async () => {
  await browser?.close();
  await stage?.close();
});

beforeEach(async () => {
  for (const node of [0, 0, 1, 1, 2, 2]) people.push(await Person.enter(stage, `person-${people.length}`, node, "busy"));
  ({ page, faults } = await open(browser));
  await page.goto(`${stage.page}cluster`);
});
afterEach(async () => {
  for (const person of people.splice(0)) person.leave();
  await page.context().close();
  // A refusal and a node that is gone are errors to the console, whoever handles them.
  expect(faults.filter((fault) => !fault.includes("Failed to load resource"))).toEqual([]);
});

async function unlock(): Promise<void> {
  await page.getByLabel("API key").fill(stage.about.apiKey);
  await page.keyboard.press("Enter");
  await row(0).waitFor();
}

function row(node: number): Locator {
  return page.getByRole("row", { name: `node-${node}` });
}

/** The number in one of the tiles at the top. */
async function total(name: string): Promise<number> {
  const text = await page.locator(".cluster-total", { has: page.getByText(name, { exact: true }) }).locator(".cluster-total-value").textContent();
  return Number(text?.replaceAll(",", ""));
}

/** The lines of a plot, as they are drawn. */
function drawn(title: string): Promise<(string | null)[]> {
  const plot = page.locator("figure", { hasText: title });
  return plot.locator(".plot-line").evaluateAll((all) => all.map((line) => line.getAttribute("points")));
}

test("a wrong key is refused in words, and the right one shows what goes on", async () => {
  await page.getByRole("heading", { name: "This page needs an API key" }).waitFor();
  expect(await barriers(page)).toEqual([]);
  await page.getByLabel("API key").fill("a key that is none");
  await page.getByRole("button", { name: "Show the cluster" }).click();
  await page.getByRole("alert").getByText("none of the cluster's API keys").waitFor();
  expect(await page.evaluate(() => sessionStorage.length), "a key that is none is not kept").toBe(0);
  await page.getByLabel("API key").fill(await stage.token("person-0"));
  await page.keyboard.press("Enter");
  await page.getByRole("alert").getByText("This is a user's token").waitFor();

  await unlock();
  await expect.poll(() => Promise.all([total("Nodes"), total("Connections"), total("Users")])).toEqual([3, 6, 6]);
  // Six people, each of whom is heard by all.
  const rate = 1_000 / PAUSE_MS;
  await expect.poll(() => total("Messages")).toBeGreaterThan(rate);
  await expect.poll(() => total("Deliveries")).toBeGreaterThan(6 * rate);
  // What a busy machine held up goes by in a moment.
  await expect.poll(() => total("Messages")).toBeLessThanOrEqual(2 * 6 * rate);
  for (const node of [0, 1, 2]) await expect.poll(() => row(node).textContent()).toMatch(/ready.*2 users.*messages\/s.*p50 .* ms/);
  await expect.poll(() => page.getByRole("row", { name: "busy" }).textContent()).toMatch(/^busy.*6.*3$/);

  for (const title of ["Deliveries a second", "Messages appended a second", "Append latency", "Connections"]) {
    await expect.poll(() => drawn(title)).toHaveLength(3);
    const before = await drawn(title);
    await expect.poll(() => drawn(title)).not.toEqual(before);
  }
  expect(await barriers(page)).toEqual([]);
  expect(await page.getByRole("region", { name: "Hottest rooms" }).count(), "a landmark has a name of its own").toBe(1);
  await photograph(page, "cluster");

  // The key lasts as long as the tab, and is forgotten when that is asked for.
  await page.reload();
  await row(0).waitFor();
  await page.getByRole("button", { name: "Forget the key" }).click();
  await page.getByLabel("API key").waitFor();
  await page.reload();
  await page.getByLabel("API key").waitFor();
});

test("a node is drained when that is confirmed, and comes back", async () => {
  await unlock();
  await expect.poll(() => row(1).textContent()).toMatch(/ready.*2 users/);
  await page.getByRole("button", { name: "Drain node-1" }).click();
  const dialog = page.getByRole("dialog", { name: "Drain node-1?" });
  await dialog.getByText("2 connections").waitFor();
  expect(await barriers(page)).toEqual([]);
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Cancel");
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  await expect.poll(() => page.evaluate(() => document.activeElement?.getAttribute("aria-label"))).toBe("Drain node-1");
  await page.getByRole("button", { name: "Drain node-1" }).click();
  await dialog.getByRole("button", { name: "Drain node-1" }).click();

  await page.getByRole("status", { name: "Notifications" }).getByText("node-1 was told to drain").waitFor();
  await expect.poll(() => row(1).textContent()).toMatch(/draining|gone/);
  await expect.poll(() => people.map(({ close }) => close)).toEqual([null, null, { code: 1012, reason: "restart" }, { code: 1012, reason: "restart" }, null, null]);
  await expect.poll(() => row(1).textContent()).toMatch(/gone/);
  expect(await row(1).getByRole("button").isDisabled()).toBe(true);
  await expect.poll(() => Promise.all([total("Nodes"), total("Connections")])).toEqual([2, 4]);

  await stage.drain(1);
  await stage.start(1);
  await expect.poll(() => row(1).textContent()).toMatch(/ready/);
  expect(await row(1).count(), "the one that is gone has made room for it").toBe(1);
  await expect.poll(() => total("Nodes")).toBe(3);
});

test("a user is banned for as long as was chosen, and told why", async () => {
  const mallory = await Person.enter(stage, "mallory", 2, "busy");
  people.push(mallory);
  await unlock();
  await page.getByRole("button", { name: "Ban …", exact: true }).click();
  await page.getByText("A user id has 1 to 120 characters").waitFor();
  await page.getByLabel("User id").fill("mallory");
  await page.getByRole("button", { name: "Ban …", exact: true }).click();
  const dialog = page.getByRole("dialog", { name: "Ban mallory?" });
  await dialog.getByText("All connections of mallory are closed").waitFor();
  await dialog.getByLabel("For how long").selectOption({ label: "1 day" });
  await dialog.getByLabel("Reason").fill("spam");
  expect(await barriers(page)).toEqual([]);
  expect(mallory.close).toBeNull();
  await dialog.getByRole("button", { name: "Ban", exact: true }).click();
  await page.setViewportSize({ width: 1280, height: 800 });
  const told = page.getByRole("status", { name: "Notifications" }).getByText("mallory is banned for 1 day");
  await told.waitFor();
  const lift = page.getByRole("button", { name: "Lift a ban …" });
  await lift.scrollIntoViewIfNeeded();
  const [over, under] = [await told.boundingBox(), await lift.boundingBox()];
  expect(over!.y + over!.height, "what is told lies over no button").toBeLessThan(under!.y);
  await expect.poll(() => mallory.close).toEqual({ code: 1008, reason: "banned" });
  const ban = (await stage.call("GET", "users/mallory/ban")) as { until_ms: number; reason: string };
  expect(ban.reason).toBe("spam");
  expect(Math.abs(ban.until_ms - Date.now() - 24 * 3_600_000)).toBeLessThan(60_000);

  await page.getByRole("button", { name: "Lift a ban …" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Lift the ban" }).click();
  await page.getByRole("status", { name: "Notifications" }).getByText("mallory is not banned").waitFor();
  people.push(await Person.enter(stage, "mallory", 2, "busy"));

  await page.getByRole("button", { name: "Disconnect …" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Disconnect" }).click();
  await expect.poll(() => people.at(-1)?.close).toEqual({ code: 1008, reason: "kicked" });
});

test("what is old is said to be old, and what nobody knows is not said to be known", async () => {
  await unlock();
  await page.getByText("Live", { exact: true }).last().waitFor();
  await stage.refuse(true);
  await page.getByText(/No answer for \d+ s, retrying.* What is shown is \d+ s old/).waitFor();
  expect(await row(0).count(), "what was known stays").toBe(1);
  await stage.refuse(false);
  await page.getByText("Live", { exact: true }).last().waitFor();

  await stage.stopRedis();
  await page.getByText("knows of nobody but itself").waitFor();
  const states = async () => (await Promise.all([0, 1, 2].map((node) => row(node).textContent()))).map((text) => /bus down|not known/.exec(text ?? "")?.[0]).sort();
  await expect.poll(states).toEqual(["bus down", "not known", "not known"]);
  await stage.startRedis();
  await page.getByText("Live", { exact: true }).last().waitFor();
  for (const node of [0, 1, 2]) await expect.poll(() => row(node).textContent()).toMatch(/ready/);
});

test("in development mode it needs no key", async () => {
  const gateway = await Gateway.start();
  try {
    await page.goto(`${gateway.origin}/cluster`);
    await page.getByRole("row", { name: "here" }).waitFor();
    await expect.poll(() => page.getByRole("row", { name: "here" }).textContent()).toMatch(/ready.*answers|answers.*ready/);
    expect(await page.getByRole("button", { name: "Forget the key" }).count()).toBe(0);
    await page.getByText("Nothing was said in any room in the last seconds.").waitFor();
    await page.getByRole("button", { name: "Drain here" }).click();
    await page.getByRole("dialog").getByText("No other node is ready").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Drain here" }).click();
    await page.getByText(/No answer for \d+ s, retrying/).waitFor();
    expect(await gateway.ended).toBe(0);
  } finally {
    gateway.end();
  }
});

/** A gateway without any configuration. */
class Gateway {
  readonly origin: string;
  readonly ended: Promise<number | null>;
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess, origin: string) {
    this.#process = process;
    this.origin = origin;
    this.ended = new Promise((resolve) => process.once("exit", resolve));
  }

  static async start(): Promise<Gateway> {
    const env = { PATH: process.env.PATH, CHORUS_LISTEN: "127.0.0.1:0", CHORUS_NODE: "here" };
    const child = spawn(`${target}/chorus`, { env, stdio: ["ignore", "pipe", "ignore"] });
    for await (const line of createInterface({ input: child.stdout })) {
      const origin = /open (http:\S+?)\/?$/.exec(line)?.[1];
      if (origin) return new Gateway(child, origin);
    }
    throw new Error("chorus did not say where to open it");
  }

  end(): void {
    this.#process.kill("SIGKILL");
  }
}
