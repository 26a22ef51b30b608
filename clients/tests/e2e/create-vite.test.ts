/** The README's ten lines, as somebody would try them: a new application, the packed library, another origin, two people. */
import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PATIENCE } from "../patience.ts";
import { Stage } from "../stage.ts";
import { launch } from "./browser.ts";
import { say, Site } from "./site.ts";

const CREATE_VITE = "vite@9.3.0";
const library = fileURLToPath(new URL("../../js", import.meta.url));

let folder: string;
let stage: Stage;
let browser: Browser;
let site: Site;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "chorus-create-vite-"));
  site = await Site.start();
  [stage, browser] = await Promise.all([Stage.start({ origins: [site.origin] }), launch()]);
});

afterAll(async () => {
  await browser?.close();
  site?.close();
  await stage?.close();
  if (folder) await rm(folder, { recursive: true });
});

test("an application of `npm create vite` chats in the README's ten lines", { timeout: 10 * PATIENCE }, async () => {
  const lines = await readme();
  expect(lines.split("\n").filter((line) => line.trim())).toHaveLength(10);
  expect(lines).toContain(ADDRESS);

  const create = npm(folder, "create", "--yes", CREATE_VITE, "app", "--", "--template", "react-ts", "--no-interactive");
  const [packed] = await Promise.all([pack(), create]);
  const app = join(folder, "app");
  await npm(app, "install", "--no-audit", "--no-fund", packed);
  await writeFile(join(app, "src/App.tsx"), lines.replace(ADDRESS, stage.url));
  // Checks the types as well.
  await npm(app, "run", "build");
  site.serve(join(app, "dist"), (user) => stage.token(user));

  const alice = await site.visit(browser, "alice");
  const bob = await site.visit(browser, "bob");
  await say(alice, "hello");
  await Promise.all([alice, bob].map((page) => sees(page, ["alice: hello"])));
  await stage.cut();
  await say(bob, "still here?");
  await say(alice, "yes");
  const log = async () => (await stage.log("lobby")).map(({ from, data }) => `${from}: ${data}`);
  await expect.poll(log).toHaveLength(3);
  const all = await log();
  await Promise.all([alice, bob].map((page) => sees(page, all)));
  // Who comes later sees what was said.
  await sees(await site.visit(browser, "carol"), all);
});

/** What the README has its reader replace: where the gateways are. */
const ADDRESS = "wss://chat.example.com/ws";

/** The first program of the README's section on React. */
async function readme(): Promise<string> {
  const text = await readFile(join(library, "README.md"), "utf8");
  const section = text.slice(text.indexOf("\n## React\n"));
  const block = /```tsx\n(.*?)```/s.exec(section)?.[1];
  if (!block) throw new Error("clients/js/README.md: there is no program in the section React");
  return block;
}

/** What a registry would be given. Built beside the workspace, where others may be reading. */
async function pack(): Promise<string> {
  const copy = join(folder, "chorus-client");
  await npm(library, "exec", "--", "tsc", "--project", "tsconfig.build.json", "--outDir", join(copy, "dist"));
  for (const file of ["package.json", "README.md"]) await cp(join(library, file), join(copy, file));
  const told = await npm(copy, "pack", "--ignore-scripts", "--json", "--pack-destination", folder);
  const [{ filename }] = JSON.parse(told) as [{ filename: string }];
  return join(folder, filename);
}

async function npm(cwd: string, ...args: string[]): Promise<string> {
  // What an `npm run` around us says of its own workspace is not for the one in there.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_(?!config_registry$|config_cache$)/i.test(name)));
  const { stdout } = await promisify(execFile)("npm", args, { cwd, env: { ...env, NODE_ENV: "" }, maxBuffer: 1 << 24 }).catch(
    (error: Error & { stdout?: string; stderr?: string }) => {
      throw new Error(`npm ${args.join(" ")}: ${error.message}\n${error.stdout}\n${error.stderr}`);
    },
  );
  return stdout;
}

async function sees(page: Page, lines: readonly string[]): Promise<void> {
  await expect.poll(() => page.locator("p").allTextContents()).toEqual(lines);
}
