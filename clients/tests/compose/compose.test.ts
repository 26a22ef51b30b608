/**
 * docker-compose.yml on a real engine, end to end: `deploy/compose-test/run`. The steps build on one another; after each fault it
 * is compared what everybody saw with the log.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import { Crowd } from "../faults/crowd.ts";
import { type Container, Compose, docker, get, inspect } from "./cluster.ts";
import { sbom } from "./sbom.ts";

const MINUTE = 60_000;
/** Between two messages of a person: some minutes of it fit into a room's log (1,000). */
const PAUSE_MS = 400;

/** Not among them is what can't be had here; `run` says so. */
const services = ["redis", "gateway", "nginx", "prometheus", "grafana"].filter((name) => name !== process.env.CHORUS_COMPOSE_WITHOUT);
const files = process.env.CHORUS_NOFILE ?? 131072;
const cluster = new Compose();
let crowd: Crowd | undefined;

beforeAll(async () => void (await cluster.compose("down", "-v")), MINUTE);
afterEach(() => crowd?.leave());
afterAll(async () => void (await cluster.compose("down", "-v")), 2 * MINUTE);

/** Waits until something is so that takes a while to be asked. */
const eventually = (so: () => Promise<void>, timeout = MINUTE) => vi.waitFor(so, { timeout, interval: 500 });

async function gather(): Promise<Crowd> {
  crowd = await Crowd.gather(cluster, {}, PAUSE_MS);
  await crowd.acknowledged(40);
  return crowd;
}

/** Who is on which node. */
function where({ people }: Crowd): string[] {
  return people.map(({ chat: { status } }) => (status.value.state === "connected" ? status.value.node : "nowhere"));
}

async function agree(crowd: Crowd): Promise<void> {
  await crowd.until("everybody is back", () => crowd.isThere());
  await crowd.acknowledged(40);
  await crowd.agrees();
  const said = crowd.attempts.length;
  console.log(`${said} messages of ${crowd.people.length} people: each in the log once, and seen by everybody once and in order`);
}

async function healthy(gateways: number): Promise<void> {
  await eventually(async () => {
    const health = (await cluster.running("gateway")).map(({ State }) => State.Health?.Status);
    expect(health).toEqual(Array(gateways).fill("healthy"));
  });
}

async function watched(gateways: number): Promise<void> {
  await eventually(async () => expect(await cluster.query('up{job="chorus"}')).toEqual(Array(gateways).fill(1)));
}

it("the image: at most 25 MB, nobody's shell, a user that is not root, a health check, labels, and its SBOM", async () => {
  const [image] = await inspect<{ Size: number; Config: Record<string, any> }>("chorus:local");
  console.log(`the image has ${(image!.Size / 1e6).toFixed(1)} MB`);
  expect(image!.Size).toBeLessThanOrEqual(25e6);
  const { User, Healthcheck, Entrypoint, Labels } = image!.Config;
  expect([User, Healthcheck.Test, Entrypoint]).toEqual(["10001:10001", ["CMD", "/usr/local/bin/chorus", "health"], ["/usr/local/bin/chorus"]]);
  for (const label of ["title", "description", "source", "documentation"]) expect(Labels[`org.opencontainers.image.${label}`], label).toBeTruthy();
  expect(Labels).toMatchObject({ "org.opencontainers.image.licenses": "MIT", "org.opencontainers.image.revision": process.env.CHORUS_REVISION });
  expect(`chorus ${Labels["org.opencontainers.image.version"]}`).toBe(await docker("run", "--rm", "--read-only", "chorus:local", "version"));

  const directory = await mkdtemp(join(tmpdir(), "chorus-image-"));
  const container = await docker("create", "chorus:local");
  try {
    await docker("cp", `${container}:${Labels["com.github.chorus-chat.sbom.path"]}`, join(directory, "chorus"));
    const names = sbom(await readFile(join(directory, "chorus"))).packages.map(({ name }) => name);
    console.log(`its SBOM has ${names.length} packages`);
    expect(names).toEqual(expect.arrayContaining(["gateway", "bus", "proto", "tokio", "fred", "ring"]));
    expect(names).not.toContain("proptest");
  } finally {
    await docker("rm", container);
    await rm(directory, { recursive: true });
  }
});

it("comes up: everything is well, and a gateway may do nothing but serve", { timeout: 3 * MINUTE }, async () => {
  await cluster.up(services);
  for (const service of services) {
    await eventually(async () => {
      const health = (await cluster.running(service)).map(({ State }) => State.Health?.Status);
      expect(health, service).toEqual(Array(service === "gateway" ? 3 : 1).fill("healthy"));
    });
  }
  for (const { State, HostConfig } of await cluster.running("gateway")) {
    expect(HostConfig.ReadonlyRootfs).toBe(true);
    const status = await readFile(`/proc/${State.Pid}/status`, "utf8");
    expect(status).toMatch(/^Uid:(\t10001){4}$/m);
    expect(status).toMatch(/^CapEff:\t0+$/m);
    expect(status).toMatch(/^CapBnd:\t0+$/m);
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);
    expect(await readFile(`/proc/${State.Pid}/limits`, "utf8")).toMatch(new RegExp(`^Max open files +${files} +${files} `, "m"));
  }
  await watched(3);
});

it.skipIf(!services.includes("grafana"))("Grafana has its dashboard, and reaches Prometheus", async () => {
  await get("http://127.0.0.1:3000/api/dashboards/uid/chorus");
  expect(await get("http://127.0.0.1:3000/api/datasources/proxy/uid/prometheus/api/v1/query?query=1")).toMatchObject({ status: "success" });
});

it("people on three gateways chat through nginx", async () => {
  const crowd = await gather();
  expect([...new Set(where(crowd))].sort()).toEqual(await cluster.names());
  await agree(crowd);
});

it("a gateway is killed, and comes back", async () => {
  const crowd = await gather();
  const [victim] = await cluster.running("gateway");
  const affected = where(crowd).filter((node) => victim!.Id.startsWith(node)).length;
  expect(affected).toBeGreaterThan(0);
  await docker("kill", victim!.Id);
  await crowd.acknowledged(60);
  await crowd.until("everybody is back", () => crowd.isThere());
  expect(where(crowd)).not.toContain(victim!.Id.slice(0, 12));
  await docker("start", victim!.Id);
  await agree(crowd);
  console.log(`${affected} of them were on the gateway that was killed`);
});

it.skipIf(process.getuid?.() !== 0)("a gateway's process dies, and the engine starts it again", async () => {
  await healthy(3);
  const crowd = await gather();
  const [victim] = await cluster.running("gateway");
  // Behind the engine's back: what it was told to kill it would leave dead. Only root may.
  process.kill(victim!.State.Pid, "SIGKILL");
  await crowd.acknowledged(60);
  await eventually(async () => expect((await cluster.running("gateway")).map(({ State }) => State.StartedAt)).not.toContain(victim!.State.StartedAt));
  await healthy(3);
  await agree(crowd);
});

it("Redis is restarted", async () => {
  const crowd = await gather();
  await cluster.compose("restart", "redis");
  await agree(crowd);
});

it("a gateway is stopped, drains, and ends by itself; Prometheus sees it", async () => {
  const crowd = await gather();
  const told: unknown[] = [];
  for (const { chat } of crowd.people) chat.on("closing", ({ code, reason }) => told.push([code, reason]));
  const [leaver] = await cluster.running("gateway");
  await docker("stop", leaver!.Id);
  const { State } = (await inspect<Container>(leaver!.Id))[0]!;
  expect([State.Status, State.ExitCode]).toEqual(["exited", 0]);
  expect(told).toContainEqual([1012, "restart"]);
  await watched(2);
  await docker("start", leaver!.Id);
  await watched(3);
  await agree(crowd);
});

it("five gateways, and nginx was neither edited nor reloaded", async () => {
  const crowd = await gather();
  const before = (await cluster.running("nginx"))[0]!;
  const old = await cluster.names();
  await cluster.up(services, 5);
  const names = await cluster.names();
  expect(names).toHaveLength(5);
  await eventually(async () => expect([...(await cluster.nodes()).keys()].sort()).toEqual(names));
  await watched(5);

  const more = await Crowd.gather(cluster, {}, PAUSE_MS);
  try {
    // The fewest connections are on those that are new.
    const fresh = names.filter((name) => !old.includes(name));
    expect([...new Set(where(more))]).toEqual(expect.arrayContaining(fresh));
    await eventually(async () => {
      const nodes = await cluster.nodes();
      for (const name of fresh) expect(nodes.get(name)!.connections, name).toBeGreaterThan(0);
    });
    await agree(more);
  } finally {
    more.leave();
  }
  await agree(crowd);
  const after = (await cluster.running("nginx"))[0]!;
  expect([after.Id, after.State.StartedAt]).toEqual([before.Id, before.State.StartedAt]);
});

it("each gateway is replaced, as deploy/README.md says, and fewer are left", { timeout: 5 * MINUTE }, async () => {
  const crowd = await gather();
  const old = await cluster.running("gateway");
  await cluster.compose("up", "-d", "--no-build", "--no-deps", "--no-recreate", "--scale", "gateway=8", "gateway");
  await healthy(8);
  for (const { Id } of old) {
    await docker("stop", Id);
    await docker("rm", Id);
  }
  const names = await cluster.names();
  expect(names).toHaveLength(3);
  await agree(crowd);
  expect(names).toEqual(expect.arrayContaining([...new Set(where(crowd))]));
  await watched(3);
});
