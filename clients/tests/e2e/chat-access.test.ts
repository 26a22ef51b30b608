/** The chat without a mouse, for axe, and for the eye: what `artifacts/` holds afterwards is looked at by people. */
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Stage } from "../stage.ts";
import { barriers, launch, open, photograph, SIZES } from "./browser.ts";
import { Person } from "./chat-person.ts";

let stage: Stage;
let browser: Browser;

beforeAll(async () => {
  [stage, browser] = await Promise.all([Stage.start(), launch()]);
});

afterAll(async () => {
  await browser?.close();
  await stage?.close();
});

test("somebody without a mouse comes in, talks, edits, reacts, joins, leaves and goes, and always sees where the focus is", async () => {
  const { page, context, faults } = await open(browser, { locale: "en-GB" });
  const keys = page.keyboard;
  await page.goto(stage.page);
  await page.getByLabel("Token").waitFor();
  await focused(page, "Token");
  await keys.insertText(await stage.token("keys", { name: "keys" }));
  await tabTo(page, "Room");
  await keys.press("Control+a");
  await keys.insertText("typed");
  await keys.press("Enter");
  await page.getByTestId("status").filter({ hasText: "connected to" }).waitFor();

  await focused(page, "Message");
  await keys.type("frist");
  await keys.press("Enter");
  await page.locator('[data-testid="message"][data-state="sent"]', { hasText: "frist" }).waitFor();
  await keys.press("ArrowUp");
  await focused(page, "Edit the message");
  await keys.press("Control+a");
  await keys.type("first");
  await keys.press("Enter");
  await page.getByText("first (edited)").waitFor();

  await tabTo(page, "Conversation", "Shift+Tab");
  await keys.press("ArrowUp");
  await focused(page, /^keys, /);
  await tabTo(page, "Add a reaction");
  await keys.press("Enter");
  await focused(page, "thumbs up");
  await keys.press("ArrowRight");
  await focused(page, "heart");
  await keys.press("Enter");
  await page.getByRole("button", { name: "❤️ 1, from you" }).waitFor();
  await keys.press("Escape");
  await focused(page, "Message");

  await tabTo(page, "Join a room", "Shift+Tab");
  await keys.type("another");
  await keys.press("Enter");
  await page.getByRole("heading", { name: "another" }).waitFor();
  await tabTo(page, "Leave another", "Shift+Tab");
  await keys.press("Enter");
  const dialog = page.getByRole("dialog");
  await dialog.waitFor();
  await tabTo(page, "Leave");
  await keys.press("Enter");
  await dialog.waitFor({ state: "detached" });
  await page.getByRole("heading", { name: "typed" }).waitFor();
  await tabTo(page, "Sign out", "Shift+Tab");
  await keys.press("Enter");
  await page.getByLabel("Token").waitFor();
  expect(faults).toEqual([]);
  await context.close();
});

test("a dialog begins where it does no harm, and gives the focus back to the message that it was about", async () => {
  const alice = await Person.enter(stage, browser, "alice", "dialogs");
  const keys = alice.page.keyboard;
  const dialog = alice.page.getByRole("dialog");
  await alice.say("to be gone");
  await alice.sent();
  for (const [button, last] of [["Keep it", "Escape"], ["Keep it", "Enter"], ["Delete", "Enter"]] as const) {
    await alice.page.getByRole("article").focus();
    await tabTo(alice.page, "Delete");
    await keys.press("Enter");
    await dialog.waitFor();
    await focused(alice.page, "Keep it");
    if (button !== "Keep it") await tabTo(alice.page, button);
    await keys.press(last);
    await dialog.waitFor({ state: "detached" });
    await focused(alice.page, /^alice, /);
  }
  await alice.page.getByText("Message deleted").waitFor();
  expect(alice.faults).toEqual([]);
  await alice.context.close();
});

test("what lies over the page on a phone keeps the keyboard, and lets go of it when it goes", async () => {
  const alice = await Person.enter(stage, browser, "alice", "drawers", { viewport: SIZES.phone });
  for (const [drawer, close] of [["Rooms", "Close rooms"], ["Members", "Close members"]] as const) {
    await alice.page.getByRole("button", { name: drawer, exact: true }).click();
    await alice.page.getByRole("button", { name: close }).waitFor();
    const places = [];
    for (let count = 0; count < 12; count++) {
      await alice.page.keyboard.press("Tab");
      // Behind the last the browser's own buttons come.
      places.push(await alice.page.evaluate(() => document.activeElement === document.body || document.activeElement?.closest("aside") !== null));
    }
    expect(places).not.toContain(false);
    await alice.page.keyboard.press("Escape");
    await focused(alice.page, drawer);
    await alice.composer.click();
    await focused(alice.page, "Message");
  }
  // Nor does it keep it where there is room for both.
  await alice.page.getByRole("button", { name: "Rooms", exact: true }).click();
  await alice.page.setViewportSize(SIZES.desk);
  await alice.composer.click();
  await focused(alice.page, "Message");
  expect(alice.faults).toEqual([]);
  await alice.context.close();
});

test("a long name of a room leaves the status its line, and the button beside it its place", async () => {
  const alice = await Person.enter(stage, browser, "alice", "a-long-name-".repeat(11).slice(0, 128));
  const box = async (name: string) => (await alice.page.locator(`.conversation-head ${name}`).boundingBox())!;
  for (const width of [1280, 820, 390]) {
    await alice.page.setViewportSize({ width, height: 800 });
    const [title, status, members] = [await box("h1"), await box(".connection"), await box("[aria-label=Members]")];
    expect(title.width, `at ${width} px`).toBeGreaterThan(40);
    expect(title.x + title.width, `at ${width} px`).toBeLessThan(status.x);
    expect(status.x + status.width, `at ${width} px`).toBeLessThan(members.x);
    expect(members.x + members.width, `at ${width} px`).toBeLessThanOrEqual(width);
    expect(status.height, `at ${width} px`).toBeLessThan(30);
  }
  await alice.context.close();
});

test("axe finds no barrier, signed out and in, with a dialog, a picker, drawers; and this is how it looks", async () => {
  const { page, context } = await open(browser, { locale: "en-GB" });
  await page.goto(stage.page);
  await page.getByLabel("Token").waitFor();
  expect(await barriers(page)).toEqual([]);
  await photograph(page, "chat-signed-out");
  await context.close();

  const [alice, bob] = [await Person.enter(stage, browser, "alice", "garden"), await Person.enter(stage, browser, "bob", "garden")];
  const talk: [Person, string][] = [
    [alice, "Morning! Did the **gateway** survive the night?"],
    [bob, "It did. I restarted it *twice* while you slept, and nobody noticed."],
    [bob, "See https://example.org/log?of=the-night&page=2 for the whole story, all of it in one very long line that does not end before the edge of a phone."],
    [alice, "How does it know where I was?"],
    [bob, "A room is a log, and everyone holds a position in it: `{ epoch, seq }`. You come back, say where you stood, and it reads on from there."],
    [alice, "```\nconst room = chat.join(\"lobby\", { recent: 50 });\nfor await (const message of room) console.log(message.data);\n```"],
    [alice, "oops, wrong room"],
  ];
  for (const [person, text] of talk) {
    await person.say(text);
    await person.sent();
  }
  await bob.tool("where I was?", "Add a reaction");
  await bob.page.getByRole("button", { name: "thinking" }).click();
  await alice.tool("wrong room", "Delete");
  await alice.page.getByRole("button", { name: "Delete", exact: true }).last().waitFor();
  expect(await barriers(alice.page), "with a dialog").toEqual([]);
  await photograph(alice.page, "chat-dialog");
  await alice.page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await alice.page.getByText("Message deleted").waitFor();
  await bob.types(alice);
  await alice.page.mouse.move(0, 0);
  expect(await barriers(alice.page), "with messages").toEqual([]);
  await photograph(alice.page, "chat");
  await alice.tool("the whole story", "Add a reaction");
  expect(await barriers(alice.page), "with a picker").toEqual([]);
  await photograph(alice.page, "chat-picker");
  await alice.page.keyboard.press("Escape");

  await alice.page.setViewportSize(SIZES.phone);
  for (const drawer of ["Rooms", "Members"]) {
    await alice.page.getByRole("button", { name: drawer, exact: true }).click();
    await alice.page.getByRole("complementary", { name: drawer }).waitFor();
    expect(await barriers(alice.page), `with ${drawer}`).toEqual([]);
    if (drawer === "Rooms") await photograph(alice.page, "chat-rooms");
    await alice.page.keyboard.press("Escape");
  }
  // A phone may be turned, and be small: nothing is wider than it.
  for (const width of [320, 390, 844]) {
    await alice.page.setViewportSize({ width, height: 500 });
    expect(await alice.page.evaluate(() => document.documentElement.scrollWidth), `at ${width} px`).toBeLessThanOrEqual(width);
  }
  for (const person of [alice, bob]) {
    expect(person.faults).toEqual([]);
    await person.context.close();
  }
});

/** Presses Tab until that has the focus; wherever it comes by, the focus is to be seen. */
async function tabTo(page: Page, name: string | RegExp, key = "Tab"): Promise<void> {
  const seen = [];
  for (let count = 0; count < 40; count++) {
    await page.keyboard.press(key);
    const now = await focus(page);
    expect(now.isShown, `the focus is seen on ${now.name}`).toBe(true);
    if (typeof name === "string" ? now.name === name : name.test(now.name)) return;
    seen.push(now.name);
  }
  throw new Error(`${key} does not lead to ${name}, but to ${seen.join(", ")}`);
}

async function focused(page: Page, name: string | RegExp): Promise<void> {
  await expect.poll(async () => (await focus(page)).name).toMatch(typeof name === "string" ? new RegExp(`^${name}$`) : name);
  expect((await focus(page)).isShown, `the focus is seen on ${name}`).toBe(true);
}

/** What has the focus, and whether there is anything to see of it. */
function focus(page: Page): Promise<{ name: string; isShown: boolean }> {
  return page.evaluate(() => {
    const element = document.activeElement as HTMLElement;
    const label = (element as HTMLInputElement).labels?.[0]?.textContent;
    const name = element.getAttribute("aria-label") ?? label ?? element.textContent ?? "";
    const ring = (of: Element) => {
      const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(of);
      return (outlineStyle !== "none" && parseFloat(outlineWidth) > 0) || boxShadow !== "none";
    };
    // What lies within a frame of its own may have that show the focus.
    const isShown = element !== document.body && (ring(element) || (element.parentElement !== null && element.parentElement.matches(":focus-within") && ring(element.parentElement)));
    const { width, height } = element.getBoundingClientRect();
    return { name, isShown: isShown && width > 0 && height > 0 };
  });
}
