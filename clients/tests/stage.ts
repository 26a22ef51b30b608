/** A real cluster for a test: three gateways, Redis, nginx, and a network before them that can be cut (`crates/testkit/src/bin/stage.rs`). */
import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { PATIENCE } from "./patience.ts";

interface Description {
  /** `host:port` of what clients connect to: the network before nginx. */
  readonly front: string;
  /** `host:port` of nginx itself, to which everybody here comes from one address. */
  readonly nginx: string;
  /** `host:port` of the gateways. */
  readonly nodes: readonly string[];
  readonly apiKey: string;
}

interface Claims {
  readonly sub: string;
  readonly name?: string;
  readonly rooms?: Readonly<Record<string, string>>;
}

/** Where the binaries are. */
export const target = process.env.CHORUS_TARGET ?? join(import.meta.dirname, "../../target/debug");

export interface LogEvent {
  readonly epoch: string;
  readonly seq: number;
  readonly type: string;
  readonly from: string;
  readonly id?: string;
  readonly data?: unknown;
}

/** The log, as the server API gives it, asked for by `get` below `/v1/`: the truth that clients are compared with. */
export async function log(get: (path: string) => Promise<unknown>, room: string): Promise<LogEvent[]> {
  const events: LogEvent[] = [];
  for (let after = 0, more = true; more; ) {
    const page = (await get(`rooms/${encodeURIComponent(room)}/messages?after=${after}&limit=200`)) as { events: LogEvent[]; more: boolean };
    events.push(...page.events);
    more = page.more && page.events.length > 0;
    after = page.events.at(-1)?.seq ?? after;
  }
  return events;
}

export class Stage {
  #process: ChildProcessWithoutNullStreams;
  #lines: AsyncIterator<string>;
  #turn: Promise<unknown> = Promise.resolve();
  readonly about: Description;

  private constructor(process: ChildProcessWithoutNullStreams, lines: AsyncIterator<string>, about: Description) {
    this.#process = process;
    this.#lines = lines;
    this.about = about;
  }

  /**
   * Built before by `cargo build --bins`; `cargo xtask test` does. `origins` are those of pages that come from elsewhere; without
   * any, the gateways' own may connect. `config` are further tables of the gateways' TOML, `nginx` is a line of nginx.conf to be
   * uncommented.
   */
  static async start({ origins = [], config = "", nginx = "" }: { origins?: readonly string[]; config?: string; nginx?: string } = {}): Promise<Stage> {
    const env = { ...process.env, CHORUS_STAGE_CONFIG: config, CHORUS_STAGE_NGINX: nginx };
    const child = spawn(`${target}/stage`, [`${target}/chorus`, ...origins], { stdio: ["pipe", "pipe", "pipe"], env });
    let complaints = "";
    child.stderr.on("data", (data: Buffer) => (complaints = (complaints + data.toString()).slice(-20_000)));
    child.on("exit", (code) => {
      if (code) console.error(`stage ended with ${code}:\n${complaints}`);
    });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const first = await lines.next();
    if (first.done) throw new Error(`the stage did not start:\n${complaints}`);
    return new Stage(child, lines, JSON.parse(first.value) as Description);
  }

  get url(): string {
    return `ws://${this.about.front}/ws`;
  }

  /** A node itself, without nginx and without the network before it. */
  node(index: number): string {
    return `ws://${this.about.nodes[index]}/ws`;
  }

  get page(): string {
    return `http://${this.about.front}/`;
  }

  async token(user: string, options: { seconds?: number; name?: string; rooms?: Claims["rooms"] } = {}): Promise<string> {
    const { seconds = 3600, ...claims } = options;
    const { token } = (await this.#do({ do: "token", claims: { sub: user, ...claims }, seconds })) as { token: string };
    return token;
  }

  kill = (node: number) => this.#do({ do: "kill", node });
  start = (node: number) => this.#do({ do: "start", node });
  /** SIGTERM; resolves when it has ended. */
  drain = (node: number) => this.#do({ do: "drain", node });
  stopRedis = () => this.#do({ do: "stop redis" });
  killRedis = () => this.#do({ do: "kill redis" });
  /** Waits until every node has noticed that Redis is gone. */
  async lostRedis(): Promise<void> {
    const end = Date.now() + PATIENCE;
    for (const node of this.about.nodes) {
      while ((await fetch(`http://${node}/readyz`)).status !== 503) {
        if (Date.now() > end) throw new Error(`${node} does not notice that Redis is gone`);
        await new Promise((go) => setTimeout(go, 50));
      }
    }
  }
  startRedis = () => this.#do({ do: "start redis" });
  /** Cuts every connection of a client. */
  cut = () => this.#do({ do: "cut" });
  /** Lets nobody in, and cuts who is. */
  refuse = (on: boolean) => this.#do({ do: "refuse", on });
  /** What the server says waits. */
  stall = (on: boolean) => this.#do({ do: "stall", on });

  log(room: string, node = 0): Promise<LogEvent[]> {
    return log((path) => this.call("GET", path, { node }), room);
  }

  /** Says something in a room by the server API. */
  async post(room: string, data: object, node = 0): Promise<void> {
    await this.call("POST", `rooms/${encodeURIComponent(room)}/messages`, { node, body: { data } });
  }

  /** Calls the server API of a node, below `/v1/`; gives what it answered. Throws when that is no success. */
  async call(method: string, path: string, { node = 0, body }: { node?: number; body?: object } = {}): Promise<unknown> {
    const url = `http://${this.about.nodes[node]}/v1/${path}`;
    const headers = { authorization: `Bearer ${this.about.apiKey}`, ...(body && { "content-type": "application/json" }) };
    const answer = await fetch(url, { method, headers, ...(body && { body: JSON.stringify(body) }) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${url}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : undefined;
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once("exit", resolve));
    this.#process.stdin.end();
    await ended;
  }

  #do(command: object): Promise<unknown> {
    const turn = this.#turn.then(async () => {
      this.#process.stdin.write(`${JSON.stringify(command)}\n`);
      const { value, done } = await this.#lines.next();
      if (done) throw new Error(`the stage ended at ${JSON.stringify(command)}`);
      const answer = JSON.parse(value) as { ok?: unknown; error?: string };
      if (answer.error) throw new Error(answer.error);
      return answer.ok;
    });
    this.#turn = turn.catch(() => {});
    return turn;
  }
}
