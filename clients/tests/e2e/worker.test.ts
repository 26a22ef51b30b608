/** The client in a real browser, in a worker: no window, no document, and a browser's own WebSocket, fetch and modules. */
import { build } from "esbuild";
import { fileURLToPath } from "node:url";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { connect } from "chorus-client";
import { PATIENCE } from "../patience.ts";
import { Stage } from "../stage.ts";
import { Socket } from "../faults/crowd.ts";
import { launch, open } from "./browser.ts";

/** What runs in the worker. It says each message that it hears, and how the connection stands. */
const PROGRAM = `
  import { connect } from "chorus-client";
  onmessage = ({ data: { url, token, transports } }) => {
    const chat = connect(url, { token, transports });
    const room = chat.join("from-a-worker");
    chat.status.subscribe((status) => postMessage({ status }));
    room.on("message", ({ from, data }) => postMessage({ from, data }));
    room.send("a worker is here");
  };
`;

let stage: Stage;
let browser: Browser;
let program: string;

beforeAll(async () => {
  [stage, browser] = await Promise.all([Stage.start(), launch()]);
  const { outputFiles } = await build({
    stdin: { contents: PROGRAM, resolveDir: fileURLToPath(new URL(".", import.meta.url)) },
    bundle: true,
    alias: { "chorus-client": fileURLToPath(new URL("../../js/src/index.ts", import.meta.url)) },
    format: "esm",
    write: false,
  });
  program = outputFiles[0]!.text;
});
afterAll(async () => {
  await browser?.close();
  await stage?.close();
});

it.each(["websocket", "sse"] as const)("talks by %s", async (transport) => {
  const token = await stage.token(`worker-${transport}`);
  const friend = connect(stage.url, { token: await stage.token(`friend-${transport}`), WebSocket: Socket });
  const heard: unknown[] = [];
  const there = friend.join("from-a-worker");
  there.on("message", ({ from, data }) => heard.push([from, data]));
  await vi.waitFor(() => expect(there.status.value.state).toBe("joined"), PATIENCE);
  const { page, context } = await open(browser);
  try {
    // Of the gateway's own origin, which alone may connect, and without a policy that keeps strange workers out.
    await page.goto(`${stage.page}healthz`);
    await page.evaluate(
      ({ program, ...asked }) => {
        const worker = new Worker(URL.createObjectURL(new Blob([program], { type: "text/javascript" })), { type: "module" });
        const said: unknown[] = [];
        worker.onmessage = ({ data }) => said.push(data);
        worker.postMessage(asked);
        Object.assign(globalThis, { said });
      },
      { program, url: stage.url, token, transports: [transport] },
    );
    await vi.waitFor(() => expect(heard).toEqual([[`worker-${transport}`, "a worker is here"]]), PATIENCE);
    await there.send("and who is there?");
    const said = () => page.evaluate(() => (globalThis as unknown as { said: unknown[] }).said);
    await vi.waitFor(async () => expect(await said()).toContainEqual({ from: `friend-${transport}`, data: "and who is there?" }), PATIENCE);
    expect(await said()).toContainEqual({ status: expect.objectContaining({ state: "connected", transport }) });
  } finally {
    friend.close();
    await context.close();
  }
});
