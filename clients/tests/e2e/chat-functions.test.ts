/** What one can do on the chat page, by two people on a real cluster. */
import WebSocket from "ws";
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { PATIENCE } from "../patience.ts";
import { Stage } from "../stage.ts";
import { launch } from "./browser.ts";
import { Person } from "./chat-person.ts";

/** What a message may have is not the default, and is told by `welcome` alone. */
const DATA_BYTES = 2_000;
/** A program that writes a long log gathers its messages. */
const CONFIG = `[history]\nlength = 20000\n[limits]\nframes_per_second = 100000\nframe_burst = 100000\ndata_bytes = ${DATA_BYTES}\n`;

const MANY = 10_000;

let stage: Stage;
let browser: Browser;
let present: Person[] = [];

beforeAll(async () => {
  [stage, browser] = await Promise.all([Stage.start({ config: CONFIG }), launch()]);
});

afterEach(async () => {
  expect(present.flatMap(({ faults }) => faults)).toEqual([]);
  await Promise.all(present.map(({ context }) => context.close()));
  present = [];
});

afterAll(async () => {
  await browser?.close();
  await stage?.close();
});

async function enter(user: string, room: string, options: Parameters<typeof Person.enter>[4] = {}): Promise<Person> {
  const person = await Person.enter(stage, browser, user, room, options);
  present.push(person);
  return person;
}

test("what is edited, deleted and reacted to is so on both pages", async () => {
  const [alice, bob] = [await enter("alice", "amended"), await enter("bob", "amended")];
  await alice.say("first draught");
  await alice.say("to be gone");

  await alice.tool("first draught", "Edit");
  await alice.composer.fill("second draught");
  await alice.composer.press("Enter");
  for (const { page } of [alice, bob]) await page.getByText("second draught (edited)").waitFor();

  await bob.tool("second draught", "Add a reaction");
  await bob.page.getByRole("button", { name: "thumbs up" }).click();
  await alice.page.getByRole("button", { name: "👍 1, from bob" }).click();
  await bob.page.getByRole("button", { name: "👍 2, from alice and you" }).or(bob.page.getByRole("button", { name: "👍 2, from you and alice" })).click();
  await alice.page.getByRole("button", { name: "👍 1, from you", exact: true }).waitFor();

  await bob.message("to be gone").hover();
  await bob.message("to be gone").getByRole("toolbar").waitFor();
  expect(await bob.message("to be gone").getByRole("button").allTextContents(), "others' messages can't be changed").toHaveLength(1);
  await alice.tool("to be gone", "Delete");
  await alice.page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  for (const { page } of [alice, bob]) await page.getByText("Message deleted").waitFor();
  expect(JSON.stringify(await stage.log("amended"))).not.toContain("to be gone");
});

test("who is there, who types, and who has read how far is seen", async () => {
  const [alice, bob] = [await enter("alice", "company"), await enter("bob", "company")];
  const members = alice.page.getByRole("region", { name: "Members" }).getByRole("listitem");
  await expect.poll(async () => (await members.allTextContents()).map((text) => text.replace(/^[A-Z]/, ""))).toEqual(["alice (you)", "bob"]);

  await bob.types(alice);
  await bob.composer.fill("");
  await alice.page.getByText("bob is typing…").waitFor({ state: "hidden" });

  await alice.say("read this");
  await alice.message("read this").getByRole("img", { name: "Read by bob" }).waitFor();
  // Bob looks at another room.
  await bob.page.getByRole("textbox", { name: "Join a room" }).fill("elsewhere");
  await bob.page.getByRole("textbox", { name: "Join a room" }).press("Enter");
  await bob.page.getByRole("heading", { name: "elsewhere" }).waitFor();
  for (const text of ["one", "two", "three"]) await alice.say(text);
  const link = bob.page.getByRole("link", { name: "company, 3 unread" });
  await link.waitFor();
  expect(await alice.message("three").getByRole("img").count(), "nobody has read that").toBe(0);

  await link.click();
  const divided = bob.page.getByTestId("message").filter({ has: bob.page.getByText("New", { exact: true }) });
  await divided.waitFor();
  expect(await divided.locator(".said").textContent()).toBe("one");
  await bob.page.getByRole("link", { name: "company", exact: true }).waitFor();
  await alice.message("three").getByRole("img", { name: "Read by bob" }).waitFor();

  await bob.context.close();
  await expect.poll(() => members.count()).toBe(1);
});

test("a message is seen at once, and how it fares", async () => {
  const [alice, bob] = [await enter("alice", "waiting"), await enter("bob", "waiting")];
  await stage.stall(true);
  try {
    await alice.say("does it arrive?");
    // It can't have been answered.
    await expect.poll(() => alice.visible()).toEqual([expect.objectContaining({ text: "does it arrive?", state: "sending" })]);
    await alice.page.getByText("sending…").waitFor();
    await alice.shows(/^sending is held up: 1 waits/);
  } finally {
    await stage.stall(false);
  }
  for (const person of [alice, bob]) {
    await expect.poll(() => person.visible()).toEqual([expect.objectContaining({ text: "does it arrive?", state: "sent" })]);
  }
  await alice.shows(/^connected to|^caught up/);
});

test("who may not write is told so, and can take it back", async () => {
  const reader = await Person.enter(stage, browser, "reader", "read-only", {}, { "read-only": "r" });
  present.push(reader);
  await reader.say("may I?");
  const refused = reader.message("may I?");
  await refused.getByText("not sent: you may not write here").waitFor();
  await reader.page.getByRole("log", { name: "New messages" }).getByText("Not sent: may I?").waitFor({ state: "attached" });
  // It would go with the page.
  const [question] = await Promise.all([reader.page.waitForEvent("dialog"), reader.page.evaluate(() => void setTimeout(() => location.reload()))]);
  expect(question.type()).toBe("beforeunload");
  await question.dismiss();
  await refused.getByRole("button", { name: "Send again" }).click();
  await refused.getByText("not sent: you may not write here").waitFor();
  await refused.getByRole("button", { name: "Discard" }).click();
  await refused.waitFor({ state: "detached" });
  expect(await stage.log("read-only")).toEqual([]);
});

test("who is muted is told for how long, and what the moderator said", async () => {
  const alice = await enter("alice", "muted");
  await alice.say("before");
  await alice.sent();
  await stage.call("PUT", "rooms/muted/mutes/alice", { body: { duration_ms: 3_600_000, reason: "count to ten" } });
  await alice.say("after");
  await alice.message("after").getByText(/not sent: you may not write here for (1 h|59 min): count to ten/).waitFor();
  await alice.tool("before", "Edit");
  await alice.composer.fill("long thought about");
  await alice.composer.press("Enter");
  await alice.page.getByText(/The message was not changed: you may not write here for (1 h|59 min): count to ten\./).waitFor();
  await alice.page.getByText("Editing a message").waitFor();
  expect(await alice.composer.inputValue(), "what was written is not lost").toBe("long thought about");
  await alice.composer.press("Escape");
  await alice.page.mouse.move(0, 0);
  await alice.tool("before", "Delete");
  await alice.page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await alice.page.getByText(/The message was not deleted: you may not write here for (1 h|59 min): count to ten\./).waitFor();
});

test("who is thrown out is told why, in the same words at both places", async () => {
  const mallory = await enter("mallory", "thrown-out");
  await stage.call("PUT", "users/mallory/ban", { body: { duration_ms: 3_600_000, reason: "spam" } });
  await mallory.page.getByRole("alert").getByText(/^You were banned from this server for (1 h|59 min): spam\.$/).waitFor();
  await mallory.shows(/^you were banned from this server for (1 h|59 min): spam/);
  await stage.call("DELETE", "users/mallory/ban");

  const kate = await enter("kate", "thrown-out");
  await stage.call("POST", "users/kate/disconnect", { body: { reason: "cool down" } });
  await kate.page.getByRole("alert").getByText("A moderator ended the connection: cool down.").waitFor();

  const late = await enter("late", "thrown-out");
  await late.page.getByRole("button", { name: "Sign out" }).click();
  await late.page.getByLabel("Token").fill(await stage.token("late", { seconds: 4 }));
  await late.page.getByRole("button", { name: "Join", exact: true }).click();
  await late.page.getByRole("alert").getByText("The sign-in is over.").waitFor();
});

test("what can't be loaded is asked for again when somebody says so, and not without end", async () => {
  await write("over", 200);
  const alice = await enter("alice", "over");
  await alice.page.getByText(/^message 199( |$)/).waitFor();
  await stage.call("POST", "users/alice/disconnect", { body: { reason: "enough" } });
  await alice.page.getByRole("alert").getByText("A moderator ended the connection: enough.").waitFor();
  await alice.page.getByLabel("Conversation").evaluate((feed) => feed.scrollTo({ top: 0 }));
  await alice.page.getByText("Earlier messages could not be loaded.").waitFor();
  await alice.page.getByRole("button", { name: "Try again" }).click();
  await alice.page.getByText("Earlier messages could not be loaded.").waitFor();
  // The page goes on: it answers, and nothing changes in it by itself.
  const changes = await alice.page.evaluate(async () => {
    let seen = 0;
    const observer = new MutationObserver((records) => (seen += records.length));
    for (let frame = 0; frame < 30; frame++) {
      await new Promise((go) => requestAnimationFrame(go));
      // What was drawn for the click may come late.
      if (frame === 10) observer.observe(document.querySelector(".feed-frame")!, { childList: true, subtree: true });
    }
    return seen;
  });
  expect(changes).toBe(0);
});

test("what is too long is said to be, nothing of it is cut, and the longest that fits is taken", async () => {
  const alice = await enter("alice", "length");
  // `{"text":""}` has eleven bytes.
  const longest = DATA_BYTES - 11;
  await alice.composer.fill("é".repeat(longest));
  await alice.page.getByText(`Too long by ${(Math.ceil(longest / 2)).toLocaleString("en")} characters`).waitFor();
  expect(await alice.page.getByRole("button", { name: "Send" }).isDisabled()).toBe(true);
  await alice.composer.press("Enter");
  expect(await alice.composer.inputValue()).toBe("é".repeat(longest));
  await alice.composer.fill("x".repeat(longest + 1));
  await alice.page.getByText("Too long by 1 character", { exact: true }).waitFor();
  await alice.composer.press("Backspace");
  await alice.page.getByText("Too long").waitFor({ state: "detached" });
  await alice.composer.press("Enter");
  await expect.poll(async () => (await stage.log("length")).map(({ data }) => (data as { text: string }).text)).toEqual(["x".repeat(longest)]);
});

test("a text is said as it was typed, with its indentation; blanks alone are nothing", async () => {
  const alice = await enter("alice", "indented");
  await alice.say(" \n ");
  await alice.say("  if (true)\n    go();  \n");
  await expect.poll(async () => (await stage.log("indented")).map(({ data }) => (data as { text: string }).text)).toEqual(["  if (true)\n    go();"]);
});

test("a draft survives a reload, each in its room, and goes when one signs out", async () => {
  const alice = await enter("alice", "drafts");
  await alice.composer.fill("half a sen");
  await alice.page.getByRole("textbox", { name: "Join a room" }).fill("others");
  await alice.page.getByRole("textbox", { name: "Join a room" }).press("Enter");
  await alice.page.getByRole("heading", { name: "others" }).waitFor();
  expect(await alice.composer.inputValue()).toBe("");
  await alice.page.reload();
  await alice.page.getByRole("link", { name: "drafts" }).click();
  await alice.page.getByRole("heading", { name: "drafts" }).waitFor();
  expect(await alice.composer.inputValue()).toBe("half a sen");
  await alice.page.getByRole("button", { name: "Sign out" }).click();
  await alice.page.getByLabel("Token").waitFor();
  expect(await alice.page.evaluate(() => sessionStorage.length)).toBe(0);
});

test("what is written from right to left is shown so, and changes nothing around it", async () => {
  const alice = await enter("alice", "directions");
  await alice.composer.fill("שלום (עולם)!");
  expect(await alice.composer.evaluate((field) => getComputedStyle(field).direction)).toBe("rtl");
  await alice.composer.press("Enter");
  await alice.tool("שלום", "Edit");
  await alice.composer.fill("שלום `a(b)` לכולם (כן)");
  await alice.composer.press("Enter");
  const said = alice.message("לכולם").locator(".said");
  const note = said.getByText("(edited)", { exact: true });
  await note.waitFor();
  const directions = await said.evaluate((text) => [text, ...text.querySelectorAll("code, bdi")].map((part) => getComputedStyle(part).direction));
  expect(directions).toEqual(["rtl", "ltr", "ltr"]);
  // It stands where the text ends, at its left.
  const [code, edited] = [await said.locator("code").boundingBox(), await note.boundingBox()];
  expect(edited!.x + edited!.width).toBeLessThan(code!.x);
  for (const name of [alice.page.locator(".message-name"), alice.page.locator(".member-name > *").first()]) {
    expect(await name.evaluate((element) => getComputedStyle(element).unicodeBidi)).toBe("isolate");
  }
});

test("the tools of a message that is taller than the screen are within it", async () => {
  const alice = await enter("alice", "tall");
  await alice.say(Array.from({ length: 90 }, (_, line) => `line ${line}`).join("\n"));
  await alice.sent();
  const { x, y, width, height } = (await alice.page.getByLabel("Conversation").boundingBox())!;
  await alice.page.mouse.move(x + width / 2, y + height / 2);
  const edit = alice.message("line 50").getByRole("button", { name: "Edit" });
  await edit.waitFor();
  await expect.poll(async () => ((await edit.boundingBox())?.y ?? 0) > y).toBe(true);
  await edit.click();
  await alice.page.getByText("Editing a message").waitFor();
});

test("a wait is counted down, and can be cut short", async () => {
  const alice = await enter("alice", "hurry");
  // The longest that there may be: ¼, ½, 1, 2, 4 and then 8 s.
  await alice.page.evaluate(() => (Math.random = () => 0.999));
  await stage.refuse(true);
  try {
    await expect.poll(() => alice.statuses.join("\n")).toMatch(/reconnecting in 3 s.*\n(.*\n)*?reconnecting in 2 s.*\n(.*\n)*?reconnecting in 1 s/);
    await alice.shows(/reconnecting in [678] s/);
  } finally {
    await stage.refuse(false);
  }
  const from = alice.statuses.length;
  await alice.status.getByRole("button", { name: "Connect now" }).click();
  await alice.shows(/^connected to node-\d/, from);
  expect(alice.statuses.slice(from).join(), "it did not wait to the end").not.toContain("in 1 s");
  // Failing to connect is no fault of the page.
  alice.faults.splice(0);
});

test("what others write can't do anything: links are links, marks are marks, and the rest is text", async () => {
  const text = "see https://example.org/a?b=c, **bold** *italic* `code`; javascript:alert(1) [x](javascript:alert(2)) data:text/html,y <img src=x onerror=alert(3)>";
  await stage.post("safety", { text });
  const alice = await enter("alice", "safety");
  const said = alice.message("see https").locator(".said");
  const links = await said.locator("a").evaluateAll((found) => found.map((link) => [link.getAttribute("href"), link.getAttribute("target"), link.getAttribute("rel")]));
  expect(links).toEqual([["https://example.org/a?b=c", "_blank", expect.stringContaining("noopener")]]);
  expect(await said.locator("strong, em, code").allTextContents()).toEqual(["bold", "italic", "code"]);
  expect(await said.locator("img, script").count()).toBe(0);
  expect(await said.textContent()).toContain("<img src=x onerror=alert(3)>");
});

test("a day later, today is yesterday", async () => {
  await stage.post("days", { text: "what day is it?" });
  const alice = await enter("alice", "days");
  await alice.page.getByRole("heading", { name: "Today" }).waitFor();
  const later = await alice.context.newPage();
  await later.clock.setFixedTime(Date.now() + 86_400_000);
  await later.goto(`${stage.page}#room=days`);
  await later.getByLabel("Token").fill(await stage.token("later", { seconds: 200_000 }));
  await later.getByRole("button", { name: "Join", exact: true }).click();
  await later.getByRole("heading", { name: "Yesterday" }).waitFor();
});

test("what was before is loaded as one scrolls up, and what one reads stays where it is", async () => {
  await write("before", 300);
  const alice = await enter("alice", "before");
  await alice.message(/message 299( |$)/).waitFor();
  const moved = await alice.page.getByLabel("Conversation").evaluate(climb);
  expect(moved.length).toBeGreaterThanOrEqual(2);
  expect(Math.max(...moved), `px that a line in sight moved: ${moved}`).toBeLessThanOrEqual(2);
  await alice.page.getByText("This is the beginning of what the server still has").waitFor();
  const texts = (await alice.everything()).map(({ text }) => text);
  expect(texts).toEqual(Array.from({ length: 300 }, (_, number) => expect.stringMatching(new RegExp(`^message ${number}( |$)`))));
});

/** In the page: scrolls up until all is loaded. How far a line in sight moved each time that more came above it, in px, seen frame by frame. */
async function climb(scroller: Element): Promise<number[]> {
  const frame = () => new Promise((go) => requestAnimationFrame(go));
  const top = () => scroller.getBoundingClientRect().top;
  const moves = [];
  for (let step = 0; step < 1_000 && !scroller.querySelector(".feed-start"); step++) {
    // As a wheel does it, in steps.
    scroller.scrollTop -= 200;
    await frame();
    const anchor = [...scroller.querySelectorAll<HTMLElement>("[data-seq]")].find((row) => row.getBoundingClientRect().top > top());
    if (!anchor) continue;
    const { seq, index } = anchor.dataset;
    const before = anchor.getBoundingClientRect().top;
    let moved = 0;
    let after = 0;
    // It rests while more is asked for, and for some frames after that has come.
    for (let count = 0; count < 600 && after < 10 && (after > 0 || count < 2 || scroller.querySelector("[aria-busy=true]")); count++) {
      await frame();
      const now = scroller.querySelector<HTMLElement>(`[data-seq="${seq}"]`);
      moved = Math.max(moved, now ? Math.abs(now.getBoundingClientRect().top - before) : Infinity);
      if (after > 0 || now?.dataset.index !== index) after++;
    }
    if (after > 0) moves.push(moved);
  }
  return moves;
}

test("ten thousand messages are as many elements as fit the screen", async () => {
  const alice = await enter("alice", "many");
  await write("many", MANY);
  await expect.poll(async () => (await alice.visible()).at(-1)?.text, { timeout: 3 * PATIENCE }).toMatch(new RegExp(`^message ${MANY - 1}( |$)`));
  const { most, frames } = await alice.page.getByLabel("Conversation").evaluate(async (scroller) => {
    const frame = () => new Promise<number>((go) => requestAnimationFrame(go));
    const frames = [];
    let most = 0;
    let last = await frame();
    for (let step = 0; step < 300; step++) {
      // Mostly as a wheel does it, now and then as somebody who drags the bar.
      scroller.scrollTop -= step % 50 ? 120 : scroller.scrollHeight / 8;
      const now = await frame();
      frames.push(now - last);
      last = now;
      most = Math.max(most, scroller.querySelectorAll("article").length);
    }
    return { most, frames: frames.sort((one, other) => one - other) };
  });
  expect(most).toBeLessThan(200);
  expect(most).toBeGreaterThan(10);
  const at = (share: number) => frames[Math.floor(share * (frames.length - 1))]!.toFixed(0);
  console.log(`scrolling through ${MANY} messages: at most ${most} elements; a frame takes ${at(0.5)} ms in the middle, ${at(0.95)} at the 95th percentile, ${at(1)} at most`);

  await alice.page.getByRole("button", { name: "To the newest" }).click();
  await alice.message(new RegExp(`message ${MANY - 1}( |$)`)).waitFor();
  // All of them are there: the last row knows how many are above it.
  expect(await alice.page.getByTestId("message").last().getAttribute("data-index")).toBe(`${MANY - 1}`);
});

/** Fills a room from a node itself, with messages of one line and of several. */
async function write(room: string, count: number): Promise<void> {
  const token = await stage.token("writer");
  const socket = new WebSocket(stage.node(1));
  await new Promise<void>((done, failed) => {
    let answers = 0;
    socket.on("open", () => {
      for (const frame of [{ type: "auth", token }, { type: "join", room, ref: "join" }]) socket.send(JSON.stringify(frame));
    });
    socket.on("error", failed);
    socket.on("message", (text: Buffer) => {
      const { type, ref } = JSON.parse(text.toString()) as { type: string; ref?: unknown };
      if (type === "error") failed(new Error(text.toString()));
      if (ref === "join") {
        for (let number = 0; number < count; number++) socket.send(JSON.stringify({ type: "message", room, ref: number, data: { text: `message ${number}${" word".repeat((number * 7) % 60)}` } }));
      } else if (type === "ok" && ++answers === count) done();
    });
  }).finally(() => socket.close());
}
