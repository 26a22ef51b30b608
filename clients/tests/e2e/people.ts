/** The examples as people in a room: each is started as its README says, told what to say, and asked what it heard. */
import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { open } from "./browser.ts";
import type { Site } from "./site.ts";

const project = fileURLToPath(new URL("../../../", import.meta.url));
const tools = process.env.CHORUS_TOOLS ?? join(project, "target/tools");
export const examples = join(project, "clients/examples");

export interface Person {
  /** What it printed of the room, a line for each message. */
  heard(): Promise<readonly string[]>;
  /** How it said that things stand, from the beginning on. */
  notes(): Promise<readonly string[]>;
  say(text: string): Promise<void>;
  /** Ends its input, and gives its exit code. */
  leave(): Promise<number>;
  /** What it ended with, if it has ended. */
  ended(): number | undefined;
  /** Ends it, however it is. */
  kill(): Promise<void>;
}

export interface Place {
  readonly url: string;
  readonly room: string;
  readonly token: string;
}

/** Builds the example in Go; the others run as they are. */
export async function build(into: string): Promise<string> {
  const program = join(into, "chorus-example");
  const missing = 'go is not installed: run "cargo xtask install" (on Debian as root it installs golang-go)';
  // In a checkout of another user, git will not say which version it is, and go would fail for want of it.
  const go = spawn("go", ["build", "-buildvcs=false", "-o", program, "."], { cwd: join(examples, "go"), stdio: ["ignore", "ignore", "pipe"] });
  let complaints = "";
  go.stderr.on("data", (data: Buffer) => (complaints += data.toString()));
  await new Promise<void>((resolve, reject) => {
    go.on("error", (error: NodeJS.ErrnoException) => reject(error.code === "ENOENT" ? new Error(missing) : error));
    go.on("close", (code) => (code === 0 ? resolve() : reject(new Error(`go build: ${code}:\n${complaints}`))));
  });
  return program;
}

/** One of the examples for a terminal. */
export class Terminal implements Person {
  #process: ChildProcessWithoutNullStreams;
  #said = "";
  #noted = "";
  #exit: Promise<number>;
  #code: number | undefined;

  constructor(program: string, args: readonly string[], folder: string, { url, room, token }: Place) {
    // A proxy of the machine's environment has no business between a test and its server.
    const env = { PATH: process.env.PATH, HOME: process.env.HOME, LANG: "C.UTF-8", CHORUS_TOKEN: token };
    this.#process = spawn(program, [...args, room, url], { cwd: join(examples, folder), env });
    this.#process.stdout.on("data", (data: Buffer) => (this.#said += data.toString()));
    this.#process.stderr.on("data", (data: Buffer) => (this.#noted += data.toString()));
    // What has ended takes no more lines; the test finds out by its exit code.
    this.#process.stdin.on("error", () => {});
    this.#exit = new Promise((resolve, reject) => {
      this.#process.on("error", reject);
      this.#process.on("close", (code) => resolve((this.#code = code ?? -1)));
    });
  }

  static node = (place: Place) => new Terminal(process.execPath, ["chat.js"], "node", place);

  static python(place: Place): Terminal {
    const python = join(tools, "py/bin/python3");
    if (!existsSync(python)) throw new Error(`${python} is not there: run "cargo xtask install"`);
    return new Terminal(python, ["chat.py"], "python", place);
  }

  heard = async () => lines(this.#said);
  notes = async () => lines(this.#noted);
  ended = () => this.#code;

  async say(text: string): Promise<void> {
    this.#process.stdin.write(`${text}\n`);
  }

  leave(): Promise<number> {
    this.#process.stdin.end();
    return this.#exit;
  }

  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#exit.catch(() => {});
  }
}

/** The example for browsers, in Chromium. */
export class Tab implements Person {
  #page: Page;
  #statuses: string[] = [];

  private constructor(page: Page) {
    this.#page = page;
  }

  static async enter(browser: Browser, site: Site, { url, room, token }: Place): Promise<Tab> {
    const { page } = await open(browser);
    const tab = new Tab(page);
    await page.exposeFunction("noted", (text: string) => tab.#statuses.push(text));
    await page.goto(site.origin);
    await page.evaluate(() => {
      const status = document.getElementById("status")!;
      const tell = () => (window as unknown as { noted(text: string): void }).noted(status.textContent);
      new MutationObserver(tell).observe(status, { childList: true });
    });
    await page.getByLabel("Server").fill(url);
    await page.getByLabel("Room").fill(room);
    await page.getByLabel("Token").fill(token);
    await page.getByRole("button", { name: "Enter" }).click();
    return tab;
  }

  heard = async () => (await this.#lines()).filter((line) => !line.startsWith("*"));
  notes = async () => [...this.#statuses, ...(await this.#lines()).filter((line) => line.startsWith("*"))];
  ended = () => (this.#statuses.at(-1)?.startsWith("Over:") ? 1 : undefined);

  async say(text: string): Promise<void> {
    await this.#page.getByLabel("Message", { exact: true }).fill(text);
    await this.#page.getByRole("button", { name: "Send" }).click();
  }

  async leave(): Promise<number> {
    await this.#page.context().close();
    return 0;
  }

  async kill(): Promise<void> {
    await this.leave();
  }

  #lines(): Promise<string[]> {
    return this.#page.locator("#log li").allTextContents();
  }
}

function lines(text: string): string[] {
  return text.split("\n").slice(0, -1);
}
