/** Somebody at the chat page, who uses it as people do; and what the page shows, read from its elements. */
import type { Browser, BrowserContext, BrowserContextOptions, Locator, Page } from "playwright-core";
import { expect } from "vitest";
import type { Stage } from "../stage.ts";
import { open } from "./browser.ts";

export interface Line {
  readonly epoch: string | undefined;
  readonly seq: number;
  readonly text: string;
  readonly state: string;
}

export class Person {
  readonly user: string;
  readonly page: Page;
  readonly context: BrowserContext;
  /** What went wrong in the page that should not. */
  readonly faults: string[];
  /** All that the page said of the connection, in order. */
  readonly statuses: string[] = [];
  readonly said: string[] = [];

  private constructor(user: string, { page, context, faults }: Awaited<ReturnType<typeof open>>) {
    this.user = user;
    this.page = page;
    this.context = context;
    this.faults = faults;
  }

  /** Pastes a token and goes to the room. */
  static async enter(stage: Stage, browser: Browser, user: string, room: string, options: BrowserContextOptions = {}, rights?: Readonly<Record<string, string>>): Promise<Person> {
    const person = new Person(user, await open(browser, { locale: "en-GB", ...options }));
    const { page } = person;
    await page.exposeFunction("noted", (text: string) => person.statuses.push(text));
    await page.addInitScript(() => {
      let last = "";
      const look = () => {
        const text = document.querySelector('[data-testid="status"]')?.textContent ?? last;
        if (text !== last) (window as unknown as { noted(text: string): void }).noted((last = text));
      };
      new MutationObserver(look).observe(document, { childList: true, subtree: true, characterData: true });
    });
    await page.goto(stage.page);
    await page.getByLabel("Token").fill(await stage.token(user, { name: user, ...(rights && { rooms: rights }) }));
    await page.getByLabel("Room").fill(room);
    await page.getByRole("button", { name: "Join", exact: true }).click();
    await person.shows(/^connected to node-\d/);
    return person;
  }

  get composer(): Locator {
    return this.page.getByTestId("composer");
  }

  get status(): Locator {
    return this.page.getByTestId("status");
  }

  /** The message that says `text`, as long as it is near the screen. */
  message(text: string | RegExp): Locator {
    return this.page.getByTestId("message").filter({ hasText: text });
  }

  async say(text: string): Promise<void> {
    await this.composer.fill(text);
    await this.composer.press("Enter");
    this.said.push(text);
  }

  /** Waits until nothing that was said is on its way. */
  async sent(): Promise<void> {
    await expect.poll(() => this.page.locator('[data-state="sending"]').count(), { message: `${this.user}'s lines are on their way` }).toBe(0);
  }

  /**
   * Types until somebody else sees it. Others are told once in 3 s, that ends by itself, and a busy server may drop it: whoever has to be
   * seen goes on typing.
   */
  async types(seenBy: Person): Promise<void> {
    const types = async () => {
      await this.composer.pressSequentially("I");
      return seenBy.page.getByText(`${this.user} is typing…`).isVisible();
    };
    await expect.poll(types, { interval: 500 }).toBe(true);
  }

  /** Waits until the status says it, at or after `from` of what it said. */
  async shows(status: RegExp, from = this.statuses.length - 1): Promise<void> {
    const since = Math.max(0, from);
    await expect.poll(() => this.statuses.slice(since).join("\n"), { message: `${this.user}: ${status}` }).toMatch(new RegExp(status.source, "m"));
  }

  /** The tools of a message, as they are there under the mouse. */
  async tool(text: string | RegExp, name: string): Promise<void> {
    await this.message(text).hover();
    await this.message(text).getByRole("button", { name, exact: true }).click();
  }

  /** What a screen holds now, from top to bottom. */
  visible(): Promise<Line[]> {
    return this.page.getByTestId("message").evaluateAll((items) => items.map((item) => ({
      epoch: item.dataset.epoch,
      seq: Number(item.dataset.seq),
      text: item.querySelector(".said")?.textContent ?? item.querySelector(".message-deleted")?.textContent ?? "",
      state: item.dataset.state ?? "",
    })));
  }

  /** All that the page holds: the list draws what is near the screen, so it is read while it is scrolled through. Nothing may come meanwhile. */
  async everything(): Promise<Line[]> {
    return this.page.getByLabel("Conversation").evaluate(async (scroller) => {
      const rows = new Map<number, { epoch: string | undefined; seq: number; text: string; state: string }>();
      const drawn = () => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)));
      const read = () => {
        for (const item of scroller.querySelectorAll<HTMLElement>('[data-testid="message"], [data-testid="gap"]')) {
          const { epoch, seq, state = "a gap", index } = item.dataset;
          rows.set(Number(index), { epoch, seq: Number(seq), state, text: item.querySelector(".said, .message-deleted")?.textContent ?? "" });
        }
      };
      scroller.scrollTop = 0;
      await drawn();
      for (let top = 0; ; top += scroller.clientHeight * 0.7) {
        scroller.scrollTop = top;
        await drawn();
        read();
        if (top >= scroller.scrollHeight - scroller.clientHeight) break;
      }
      return [...rows].sort(([one], [other]) => one - other).map(([, row]) => row);
    });
  }
}
