/** Somebody's own site, on another origin than the gateways: their application, and a token for whoever is signed in. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { open } from "./browser.ts";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
};

export class Site {
  readonly #server: Server;
  readonly origin: string;

  private constructor(server: Server) {
    this.#server = server;
    this.origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /** Its origin is known before there is anything on it, for the gateways have to be told of it. */
  static async start(): Promise<Site> {
    const server = createServer();
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    return new Site(server);
  }

  /** Serves what a build left in `folder`, and at `/token` what `token` says for the user that the page's cookie names. */
  serve(folder: string, token: (user: string) => Promise<string>): void {
    this.#server.on("request", async ({ url = "/", headers }, response) => {
      if (url === "/token") {
        const user = /user=(\w+)/.exec(headers.cookie ?? "")?.[1] ?? "nobody";
        return response.end(await token(user));
      }
      const file = join(folder, new URL(url, this.origin).pathname.replace(/\/$/, "/index.html"));
      if (!existsSync(file)) return response.writeHead(404).end();
      response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream" }).end(await readFile(file));
    });
  }

  /** The page, as a user who is signed in sees it. */
  async visit(browser: Browser, user: string): Promise<Page> {
    const { page, context, faults } = await open(browser);
    await context.addCookies([{ name: "user", value: user, url: this.origin }]);
    await page.goto(this.origin);
    await page.locator("input").waitFor().catch((error: Error) => {
      throw new Error([`${user}: the page does not come up: ${error.message}`, ...faults].join("\n"));
    });
    return page;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

/** Says something on a page of theirs, which has one field. */
export async function say(page: Page, text: string): Promise<void> {
  await page.locator("input").fill(text);
  await page.locator("input").press("Enter");
}
