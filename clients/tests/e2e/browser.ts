/** A real Chromium for the tests of the pages: found, not downloaded; watched, photographed and judged by axe. */
import { accessSync, constants, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { AxeResults } from "axe-core";
import { chromium, type Browser, type BrowserContext, type BrowserContextOptions, type Page } from "playwright-core";
import { PATIENCE } from "../patience.ts";

/** Of the repository, but not in it: what a run leaves behind, to be looked at. */
const ARTIFACTS = fileURLToPath(new URL("../../../artifacts/", import.meta.url));
const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const SIZES = { phone: { width: 390, height: 844 }, desk: { width: 1440, height: 900 } } as const;
export const THEMES = ["light", "dark"] as const;

/** A browser with a profile of its own, which goes when it is closed. */
export function launch(): Promise<Browser> {
  // In a container Chromium has no sandbox to make for itself, and nothing here is looked at but our own pages.
  const args = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"];
  return chromium.launch({ executablePath: program(), headless: true, args });
}

/** A page in a profile of its own (no cookies, no storage), and what went wrong in it. */
export async function open(
  browser: Browser,
  options: BrowserContextOptions = {},
): Promise<{ page: Page; context: BrowserContext; faults: string[] }> {
  const context = await browser.newContext({ viewport: SIZES.desk, reducedMotion: "reduce", ...options });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  return { page, context, faults: faultsOf(page) };
}

/** What a page throws, writes as an error to the console (a refusal by the Content-Security-Policy is one), or asks of other hosts. Filled as it happens. */
function faultsOf(page: Page): string[] {
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(`thrown: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error") faults.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    const { protocol, host } = new URL(request.url());
    const own = protocol === "data:" || protocol === "blob:" || host === new URL(page.url()).host;
    // The first request is the page's own, from `about:blank`.
    if (!own && !request.isNavigationRequest()) faults.push(`asked elsewhere: ${request.url()}`);
  });
  return faults;
}

/** The page in both themes at both sizes, in `artifacts/<name>-<theme>-<size>.png`. The size it had comes back. */
export async function photograph(page: Page, name: string): Promise<void> {
  mkdirSync(ARTIFACTS, { recursive: true });
  const before = page.viewportSize();
  for (const [size, viewport] of Object.entries(SIZES)) {
    await page.setViewportSize(viewport);
    for (const theme of THEMES) {
      await page.emulateMedia({ colorScheme: theme });
      await page.screenshot({ path: join(ARTIFACTS, `${name}-${theme}-${size}.png`) });
    }
  }
  await page.emulateMedia({ colorScheme: null });
  if (before) await page.setViewportSize(before);
}

/** The accessibility faults that axe-core calls serious or critical, in both themes, a line each. */
export async function barriers(page: Page): Promise<string[]> {
  // By the debugger's way, because the page's own policy lets no script in.
  const debug = await page.context().newCDPSession(page);
  const found: string[] = [];
  for (const theme of THEMES) {
    await page.emulateMedia({ colorScheme: theme });
    await debug.send("Runtime.evaluate", { expression: AXE });
    const run = { expression: "axe.run(document, { resultTypes: ['violations'] }).then(JSON.stringify)" };
    const { result, exceptionDetails } = await debug.send("Runtime.evaluate", { ...run, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(`axe: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`);
    const { violations } = JSON.parse(result.value as string) as AxeResults;
    for (const { id, impact, help, nodes } of violations) {
      if (impact !== "serious" && impact !== "critical") continue;
      for (const node of nodes) found.push(`${theme}: ${id} (${impact}): ${help}: ${node.target.join(" ")}: ${node.failureSummary ?? ""}`);
    }
  }
  await page.emulateMedia({ colorScheme: null });
  await debug.detach();
  return found;
}

function program(): string {
  const places = (process.env.PATH ?? "").split(delimiter).flatMap((folder) => NAMES.map((name) => join(folder, name)));
  const found = places.find((place) => {
    try {
      accessSync(place, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  if (!found) throw new Error(`no Chromium in PATH (${NAMES.join(", ")}): install one, on Debian by "apt-get install chromium"`);
  return found;
}
