/** The chat on a gateway that keeps its rooms in memory, and is started again: nobody is offered what can't be had. */
import { spawn, type ChildProcess } from "node:child_process";
import { createServer, type AddressInfo } from "node:net";
import { createInterface } from "node:readline";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { target } from "../stage.ts";
import { launch, open } from "./browser.ts";

let browser: Browser;
let address: string;
let gateway: ChildProcess;

beforeAll(async () => {
  const taken = createServer();
  await new Promise<void>((listening) => taken.listen(0, "127.0.0.1", listening));
  address = `127.0.0.1:${(taken.address() as AddressInfo).port}`;
  await new Promise((closed) => taken.close(closed));
  [gateway, browser] = await Promise.all([start(), launch()]);
});

afterAll(async () => {
  await browser?.close();
  gateway?.kill("SIGKILL");
});

async function start(): Promise<ChildProcess> {
  const child = spawn(`${target}/chorus`, { env: { PATH: process.env.PATH, CHORUS_LISTEN: address }, stdio: ["ignore", "pipe", "ignore"] });
  for await (const line of createInterface({ input: child.stdout })) if (line.includes("open http:")) return child;
  throw new Error("chorus did not come up");
}

test("what a server had in its memory is lost with it: that is said at once, and it has no tools", async () => {
  const { page, context } = await open(browser, { locale: "en-GB" });
  const composer = page.getByTestId("composer");
  const message = (text: string) => page.getByTestId("message").filter({ hasText: text });
  const say = async (text: string) => {
    await composer.fill(text);
    await composer.press("Enter");
    await message(text).and(page.locator("[data-state=sent]")).waitFor();
  };
  const edits = async (text: string) => {
    await message(text).hover();
    return message(text).getByRole("button", { name: "Edit" }).count();
  };
  await page.goto(`http://${address}/`);
  await page.getByLabel("Your name").fill("anna");
  await page.getByRole("button", { name: "Join", exact: true }).click();
  await say("before");
  expect(await edits("before")).toBe(1);

  const ended = new Promise((resolve) => gateway.once("exit", resolve));
  gateway.kill("SIGKILL");
  await ended;
  gateway = await start();
  const gap = page.getByTestId("gap");
  await gap.getByText("that the server no longer has").waitFor();
  expect(await gap.getByRole("button").count()).toBe(0);
  expect(await edits("before")).toBe(0);
  await composer.press("ArrowUp");
  expect(await page.getByText("Editing a message").count()).toBe(0);

  await say("after");
  expect(await gap.getByRole("button").count()).toBe(0);
  expect([await edits("before"), await edits("after")]).toEqual([0, 1]);
  await context.close();
});
