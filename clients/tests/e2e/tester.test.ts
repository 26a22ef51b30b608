/** The tester page as a person uses it: through nginx, against `/echo`, `/ws` of three nodes, and a server of another kind. */
import { readFile } from "node:fs/promises";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { WebSocketServer } from "ws";
import { PATIENCE } from "../patience.ts";
import { Stage } from "../stage.ts";
import { barriers, launch, open, photograph } from "./browser.ts";

let stage: Stage;
let browser: Browser;
let context: BrowserContext;
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
  ({ context, page, faults } = await open(browser, { permissions: ["clipboard-read", "clipboard-write"] }));
  await page.goto(`${stage.page}tester`);
});
afterEach(async () => {
  await context.close();
  expect(faults).toEqual([]);
});

const address = (path: string): string => `ws://${stage.about.front}${path}`;
const button = (name: string | RegExp) => page.getByRole("button", { name, exact: true });
const rows = (text: string | RegExp = "") => page.locator(".row-line").filter({ hasText: text });
/** What the log shows, from the row that has this text. */
const row = (text: string | RegExp) => rows(text).first();

async function connect(to: string, token = ""): Promise<void> {
  await page.getByLabel("Address").fill(to);
  await page.getByLabel("Token", { exact: true }).fill(token);
  await button("Connect").click();
}

/** Writes and sends as one does by keyboard. */
async function send(text: string): Promise<void> {
  await page.getByLabel("Message").fill(text);
  await page.getByLabel("Message").press("Control+Enter");
}

interface Line {
  readonly at: string;
  readonly direction: string;
  readonly opcode: string;
  readonly size: number;
  readonly text?: string;
  readonly hex?: string;
}

async function exported(): Promise<Line[]> {
  const [download] = await Promise.all([page.waitForEvent("download"), button("Export what is shown, as JSON lines").click()]);
  expect(download.suggestedFilename()).toMatch(/^frames-.*\.jsonl$/);
  return linesOf(await readFile(await download.path(), "utf8"));
}

function linesOf(text: string): Line[] {
  expect(text.endsWith("\n")).toBe(true);
  return text.trimEnd().split("\n").map((line) => JSON.parse(line) as Line);
}

test("the page may connect anywhere by WebSocket, and load nothing from elsewhere", async () => {
  const answer = await page.reload();
  const policy = Object.fromEntries((answer?.headers()["content-security-policy"] ?? "").split(";").map((rule) => [rule.trim().split(" ")[0], rule.trim().split(" ").slice(1)]));
  expect(policy["connect-src"]).toEqual(expect.arrayContaining(["'self'", "ws:", "wss:"]));
  expect(policy["default-src"]).toEqual(["'none'"]);
  expect(policy["script-src"]).toEqual(["'self'"]);
  // Guests get a token from a node in development mode only, and this one is not.
  expect(await button("Guest token").count()).toBe(0);
});

test("text and bytes go to an echo and come back; the log filters, searches, copies and exports them", async () => {
  await connect(address("/echo"));
  await page.getByText(/^Open for/).waitFor();
  await send('{"type":"greeting","to":["anna","bob"]}');
  await row(/↓.*greeting/).waitFor();
  await page.getByLabel("Send as").selectOption("hex");
  await send("00 ff 41");
  await row(/↓.*00 ff 41/).waitFor();

  // Opened, JSON is set out and bytes have their offsets.
  await row(/↑.*greeting/).click();
  await expect.poll(() => page.locator(".row-more pre").innerText()).toBe('{\n  "type": "greeting",\n  "to": [\n    "anna",\n    "bob"\n  ]\n}');
  await page.locator(".row-more").getByRole("button", { name: "Copy" }).click();
  await page.getByText("Copied", { exact: true }).waitFor();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe('{"type":"greeting","to":["anna","bob"]}');
  await row(/↑.*greeting/).click();
  await row(/↓.*00 ff 41/).click();
  expect(await page.locator(".row-more pre").innerText()).toMatch(/^000000 {2}00 ff 41 +\.\.A$/);
  await row(/↓.*00 ff 41/).click();

  const all = await exported();
  expect(all.map(({ direction, opcode, size, text, hex }) => [direction, opcode, size, hex ?? text])).toEqual([
    ["note", "note", 0, `Connecting to ${address("/echo")}`],
    ["note", "note", 0, "Open, subprotocol chorus.v1"],
    ["out", "text", 39, '{"type":"greeting","to":["anna","bob"]}'],
    ["in", "text", 39, '{"type":"greeting","to":["anna","bob"]}'],
    ["out", "binary", 3, "00ff41"],
    ["in", "binary", 3, "00ff41"],
  ]);
  for (const { at } of all) expect(new Date(at).toISOString()).toBe(at);

  await page.getByLabel("Direction").selectOption("in");
  await expect.poll(() => rows().count()).toBe(2);
  await page.getByLabel("Type").selectOption("type:greeting");
  await expect.poll(() => rows().count()).toBe(1);
  // What is shown is what is copied.
  await button("Copy what is shown, as JSON lines").click();
  await page.getByText("Copied 1 frames").waitFor();
  expect(linesOf(await page.evaluate(() => navigator.clipboard.readText()))).toEqual([all[3]]);
  await page.getByLabel("Type").selectOption("binary");
  await row("00 ff 41").waitFor();
  await page.getByLabel("Direction").selectOption("all");
  await page.getByLabel("Type").selectOption("all");
  await page.getByLabel("Search").fill("BOB");
  await expect.poll(() => rows().count()).toBe(2);
  await page.getByLabel("Search").fill("ff41");
  await expect.poll(() => rows(/binary/).count()).toBe(2);
  await page.getByLabel("Search").fill("nobody");
  await page.getByText("No frame passes the filter.").waitFor();
  await page.getByLabel("Search").fill("");
  await expect.poll(() => rows().count()).toBe(6);
  await button("Clear").click();
  await page.getByText("Nothing yet.").waitFor();
});

test("a file goes as one binary frame", async () => {
  await connect(address("/echo"));
  await page.getByText(/^Open for/).waitFor();
  await page.getByLabel("File to send").setInputFiles({ name: "some.bin", mimeType: "application/octet-stream", buffer: Buffer.from([1, 2, 3, 254]) });
  await row(/↓.*01 02 03 fe/).waitFor();
});

test("while it is paused it receives and says how many are held", async () => {
  await connect(address("/echo"));
  await page.getByText(/^Open for/).waitFor();
  await send("before");
  await row(/↓.*before/).waitFor();
  await button("Pause").click();
  await send("after");
  await button("Resume (2 held)").waitFor();
  expect(await rows("after").count()).toBe(0);
  await button("Resume (2 held)").click();
  await row(/↓.*after/).waitFor();
  await button("Pause").waitFor();
});

test("it sends at a rate, fills what is in braces, counts, and stops", async () => {
  await connect(address("/echo"));
  await page.getByText(/^Open for/).waitFor();
  await page.getByLabel("Message").fill('{"n":{{n}},"id":"{{uuid}}"}');
  await page.getByLabel("Per second").fill("40");
  await page.getByLabel("Times").fill("60");
  const began = Date.now();
  await button("Repeat").click();
  await page.getByText("Sent 60 of 60").waitFor();
  // It may be slower than was asked, but never faster: the first at once, and then one in 25 ms.
  expect(Date.now() - began).toBeGreaterThan((59 * 1_000) / 40 - 20);
  await page.getByText("Received since 60").waitFor();
  await page.getByText("done", { exact: true }).waitFor();
  const sent = (await exported()).filter(({ direction }) => direction === "out").map(({ text }) => JSON.parse(text ?? "") as { n: number; id: string });
  expect(sent.map(({ n }) => n)).toEqual(Array.from({ length: 60 }, (_, index) => index + 1));
  expect(new Set(sent.map(({ id }) => id)).size).toBe(60);

  await page.getByLabel("Per second").fill("0");
  await button("Repeat").click();
  await page.getByRole("alert").getByText("more than 0").waitFor();
  await page.getByLabel("Per second").fill("20");
  await page.getByLabel("Times").fill("");
  await button("Repeat").click();
  await page.getByText(/^Sent (?!1,)[\d,]+, [\d.]+\/s$/).waitFor();
  await button("Stop").click();
  await page.getByText("stopped", { exact: true }).waitFor();
  await button("Repeat").waitFor();
});

test("this protocol's requests: join, message, edit, history, with what they refer to filled in", async () => {
  const token = await stage.token("anna", { name: "Anna" });
  await connect(stage.url, token);
  await page.getByText(/anna on node-\d/).waitFor();
  const request = async (name: string) => {
    await page.getByLabel("Request", { exact: true }).selectOption({ label: name });
    await button("Send").click();
  };
  await page.getByLabel("Room").fill("tester:requests");
  await request("join, last 20");
  await row(/receivedok.*tester:requests/).waitFor();
  // There is no message yet that could be edited.
  await request("edit");
  await page.getByRole("alert").getByText("no message has come yet").waitFor();
  await request("message");
  await row(/receivedmessage.*Hello/).waitFor();
  await request("edit");
  await row(/receivededit.*Hello again/).waitFor();
  await request("react");
  await row(/receivedreaction.*👍/).waitFor();
  await request("read");
  await request("typing");
  await row(/receivedtyping/).waitFor();
  await request("presence");
  await row(/receivedok.*"members"/).waitFor();
  await request("history");
  await row(/receivedok.*"events"/).waitFor();
  await request("delete");
  await row(/receiveddelete/).waitFor();
  await request("leave");
  await request("ping");
  await row(/receivedpong/).waitFor();
  const log = await exported();
  expect(log.filter(({ direction, text }) => direction === "in" && text?.includes('"type":"error"'))).toEqual([]);
  expect((await stage.log("tester:requests")).map(({ type, from }) => [type, from])).toEqual([["message", "anna"], ["edit", "anna"], ["reaction", "anna"], ["delete", "anna"]]);

  // The token went out, and stands nowhere that is shown, kept or handed out.
  expect(log.some(({ text }) => text?.includes('"type":"auth"'))).toBe(true);
  expect(JSON.stringify(log)).not.toContain(token);
  expect(await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }))).not.toContain(token);
  expect(page.url()).not.toContain(token);
});

test("a token goes by subprotocol, too", async () => {
  await page.getByLabel("Send the token").selectOption("subprotocol");
  await connect(stage.url, await stage.token("bob"));
  await page.getByText("chorus.v1, bob on node-").waitFor();
  await button("Disconnect").click();
  await page.getByRole("heading", { name: /^1000 .*normal closure$/ }).waitFor();
});

test("one's own requests are kept over a reload, and forgotten", async () => {
  await page.getByLabel("Message").fill('{"mine":{{n}}}');
  await button("Save as a request").click();
  await page.getByLabel("Name").fill("my own");
  await page.getByLabel("Name").press("Enter");
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  await page.reload();
  await page.getByLabel("Request", { exact: true }).selectOption({ label: "my own" });
  expect(await page.getByLabel("Message").inputValue()).toBe('{"mine":{{n}}}');
  await button("Forget “my own”").click();
  await expect.poll(() => page.getByLabel("Request", { exact: true }).locator("option", { hasText: "my own" }).count()).toBe(0);
});

test("close codes are told in words", async () => {
  await connect(stage.url, "no.good.token");
  await page.getByRole("heading", { name: "1008 auth_failed policy violation" }).waitFor();
  await page.getByText(/^The token or ticket is not good/).waitFor();
  await page.getByText("Do not reconnect by itself").waitFor();
  // Also to who does not see it.
  await page.getByRole("status").getByText(/Closed, 1008 auth_failed/).waitFor();

  await connect(stage.url, await stage.token("carl", { seconds: -120 }));
  await page.getByRole("heading", { name: "4401 token_expired" }).waitFor();
  await page.getByText("Reconnect with a new token").waitFor();

  await connect(stage.url);
  await page.getByText(/^Open for/).waitFor();
  await page.getByRole("heading", { name: "1008 auth_timeout" }).waitFor();
  await page.getByText(/^No credential came/).waitFor();

  await connect(stage.url, await stage.token("carl"));
  await page.getByText("carl on node-").waitFor();
  await stage.cut();
  await page.getByRole("heading", { name: "1006 abnormal closure" }).waitFor();
  await page.getByText(/^The connection broke without a close frame/).waitFor();

  await connect("http://127.0.0.1/");
  await page.getByRole("alert").getByText("begins with ws:// or wss://").waitFor();
});

test("a node that is drained says when to come back", async () => {
  await connect(stage.url, await stage.token("carl"));
  const node = Number(/carl on node-(\d)/.exec(await page.getByText("carl on node-").innerText())?.[1]);
  await stage.drain(node);
  await page.getByRole("heading", { name: "1012 restart" }).waitFor();
  await page.getByText("Reconnect, but not at once").waitFor();
  await page.getByText(/^\s*after [\d.]+ s$/).waitFor();
  await stage.start(node);
  await button("Connect").click();
  await page.getByText("carl on node-").waitFor();
});

test("round trips are measured and drawn, and it is said by what", async () => {
  const points = async (): Promise<number> => ((await page.locator(".ping .plot-line").getAttribute("points")) ?? "").split(" ").length;
  await page.getByLabel("Every second").check();
  await connect(stage.url, await stage.token("dora"));
  await page.getByText("Measured by this protocol's ping and pong.").waitFor();
  await expect.poll(points).toBeGreaterThanOrEqual(3);
  expect(await page.locator(".plot-legend").innerText()).toMatch(/last\s[\d.]+ ms/);
  await page.getByLabel("Every second").uncheck();
  await button("Disconnect").click();
  await page.getByText(/^Closed$/).waitFor();

  await connect(address("/echo"));
  await page.getByText(/^Open for/).waitFor();
  await button("Ping once").click();
  await page.getByText("Measured by a text that the server echoed.").waitFor();
  await page.getByText(/of 1\./).waitFor();
  // They can be left out of the log.
  await expect.poll(() => rows("tester-ping").count()).toBeGreaterThan(0);
  await page.getByLabel("Hide pings").check();
  await expect.poll(() => rows("tester-ping").count()).toBe(0);
});

test("fifty thousand frames of another server: only those in sight are drawn, the oldest go, the keyboard finds its way", async () => {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  try {
    // That is work, and a busy machine takes longer for it.
    page.setDefaultTimeout(3 * PATIENCE);
    await page.getByLabel("Subprotocols").fill("");
    await connect(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await page.getByText(/^Open for/).waitFor();
    // Not before: a page that is flooded has no time for whoever still clicks.
    for (const socket of server.clients) for (let n = 1; n <= 51_000; n += 1) socket.send(`{"type":"tick","n":${n}}`);
    await row('"n":51000}').waitFor();
    await page.getByText("51,000 received").waitFor();
    const kept = Number(/shown of ([\d,]+)/.exec(await page.locator(".log-foot").innerText())?.[1]?.replace(",", ""));
    expect(kept).toBeGreaterThan(40_000);
    expect(kept).toBeLessThanOrEqual(50_000);
    expect(await rows().count()).toBeLessThan(200);

    await page.getByRole("log", { name: "Frames" }).focus();
    await page.keyboard.press("Home");
    const oldest = `"n":${51_000 - kept + 1}}`;
    await row(oldest).waitFor();
    await expect.poll(() => page.evaluate(() => document.activeElement?.textContent)).toContain(oldest);
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await expect.poll(() => page.locator(".row-more pre").innerText()).toContain(`"n": ${51_000 - kept + 2}`);
    await page.keyboard.press("End");
    await row('"n":51000}').waitFor();
    await page.getByLabel("Search").fill('"n":50');
    const found = Array.from({ length: kept }, (_, index) => String(51_000 - index)).filter((n) => n.startsWith("50")).length;
    await page.getByText(`${found.toLocaleString("en")} shown`).waitFor();
  } finally {
    for (const socket of server.clients) socket.terminate();
    server.close();
  }
});

test("nobody is kept out, in either theme, on a phone and at a desk", async () => {
  expect(await barriers(page)).toEqual([]);
  await connect(stage.url, await stage.token("erna", { name: "Erna" }));
  await page.getByText(/erna on node-/).waitFor();
  await page.getByLabel("Every second").check();
  await button("Send").click();
  await row(/receivedok/).waitFor();
  await page.getByLabel("Request", { exact: true }).selectOption("message");
  await page.getByLabel("Per second").fill("20");
  await page.getByLabel("Times").fill("25");
  await button("Repeat").click();
  await page.getByText("Sent 25 of 25").waitFor();
  await rows(/receivedmessage/).last().click();
  await expect.poll(async () => ((await page.locator(".ping .plot-line").getAttribute("points")) ?? "").split(" ").length).toBeGreaterThanOrEqual(4);
  expect(await barriers(page)).toEqual([]);
  await photograph(page, "tester-open");
  await button("Disconnect").click();
  await connect(stage.url, "no.good.token");
  await page.getByRole("heading", { name: "1008 auth_failed" }).waitFor();
  expect(await barriers(page)).toEqual([]);
  await photograph(page, "tester-closed");
  await page.setViewportSize({ width: 390, height: 844 });
  await page.locator(".log").scrollIntoViewIfNeeded();
  expect(await barriers(page)).toEqual([]);
  // Nothing sticks out at the side of a phone.
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
  await photograph(page, "tester-log");
});
