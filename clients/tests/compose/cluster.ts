/** The cluster of docker-compose.yml on a real engine, apart from one that somebody runs: it is another project, with its own volumes. */
import { execFile } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import { join } from "node:path";
import { promisify } from "node:util";
import { log, type LogEvent } from "../stage.ts";

const run = promisify(execFile);
const root = join(import.meta.dirname, "../../..");

/** What an engine says of a container. */
export interface Container {
  readonly Id: string;
  readonly State: { Status: string; Pid: number; ExitCode: number; StartedAt: string; Health?: { Status: string } };
  readonly HostConfig: { ReadonlyRootfs: boolean };
  readonly Config: { User: string };
}

const front = "http://127.0.0.1:8080";
const secret = randomBytes(32).toString("hex");
const apiKey = randomBytes(32).toString("hex");
const env = { ...process.env, CHORUS_JWT_SECRET: secret, CHORUS_API_KEYS: apiKey };

/** Runs docker, and gives what it printed. */
export async function docker(...args: string[]): Promise<string> {
  return (await run("docker", args, { env, maxBuffer: 64 << 20 })).stdout.trim();
}

export async function inspect<T>(...names: string[]): Promise<T[]> {
  return JSON.parse(await docker("inspect", ...names)) as T[];
}

/** Compose is a plugin of docker, or a program of its own where it is older. */
const command = run("docker", ["compose", "version"]).then(
  () => ["docker", "compose"],
  () => ["docker-compose"],
);

export class Compose {
  /** Where nginx is, as `Stage` has it. Chosen nodes are not needed here: nginx spreads clients. */
  readonly url = "ws://127.0.0.1:8080/ws";
  node = (): string => this.url;

  async compose(...args: string[]): Promise<string> {
    const [program, ...first] = await command;
    const all = [...first, "-p", "chorus-proof", "-f", join(root, "docker-compose.yml"), ...args];
    return (await run(program!, all, { cwd: root, env, maxBuffer: 64 << 20 })).stdout.trim();
  }

  /** Brings these services up, and does not build; with so many gateways, if that is given. */
  up(services: readonly string[], gateways?: number): Promise<string> {
    return this.compose("up", "-d", "--no-build", ...(gateways ? ["--scale", `gateway=${gateways}`] : []), ...services);
  }

  /** The containers of a service that run. */
  async running(service: string): Promise<Container[]> {
    const ids = (await this.compose("ps", "-q", service)).split("\n").filter((id) => id);
    const all = ids.length > 0 ? await inspect<Container>(...ids) : [];
    return all.filter(({ State }) => State.Status === "running");
  }

  /** The containers' short ids are the gateways' names. */
  async names(): Promise<string[]> {
    return (await this.running("gateway")).map(({ Id }) => Id.slice(0, 12)).sort();
  }

  async token(sub: string): Promise<string> {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const seconds = Math.floor(Date.now() / 1000);
    const head = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub, iat: seconds, exp: seconds + 3600, rooms: { "*": "rw" } })}`;
    return `${head}.${createHmac("sha256", secret).update(head).digest("base64url")}`;
  }

  log = (room: string): Promise<LogEvent[]> => log((path) => get(`${front}/v1/${path}`, apiKey), room);

  /** What each node says of itself, by name. */
  async nodes(): Promise<Map<string, { connections: number; draining: boolean }>> {
    const { nodes } = (await get(`${front}/v1/nodes`, apiKey)) as { nodes: { name: string; connections: number; draining: boolean }[] };
    return new Map(nodes.map((node) => [node.name, node]));
  }

  /** What Prometheus computes: the value of each series. */
  async query(expression: string): Promise<number[]> {
    const url = `http://127.0.0.1:9090/api/v1/query?query=${encodeURIComponent(expression)}`;
    const { data } = (await get(url)) as { data: { result: { value: [number, string] }[] } };
    return data.result.map(({ value }) => Number(value[1]));
  }
}

export async function get(url: string, key?: string): Promise<unknown> {
  const answer = await fetch(url, key ? { headers: { authorization: `Bearer ${key}` } } : {});
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}
