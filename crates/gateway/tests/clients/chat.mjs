// Two people chat on the gateway's page in a real browser, while the wire of one is cut, and while the server is restarted, twice.
//
//     node chat.mjs <page url> <artifact dir> [streams]
//
// With `streams` WebSockets do not come through at that URL: the pages must find the other way, and say so.
//
// CHROMIUM (/usr/bin/chromium) is the browser, CHAT_DEADLINE_SECONDS (120) the time for everything. The parent owns the server and follows
// our lines on stdout:
//
//     READY_FOR_STOP     it stops the server, gently or not, and when the process is gone it writes `stopped` to our stdin;
//     READY_FOR_START    it starts the server on the same address, and when that listens it writes `started`;
//     anything else      is for people to read; the last line is the summary.
//
// Exit: 0 when every line is on both pages once and in one order, 1 when not, 2 when something that the test needs is missing.

import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Wire } from './wire.mjs';

const ROUNDS = 2;
const WRITTEN_WHILE_AWAY = 5;
const STREAMS = process.argv[4] === 'streams';
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const DEADLINE_SECONDS = Number(process.env.CHAT_DEADLINE_SECONDS ?? 120);
const DESK = { width: 1440, height: 900 };
const PHONE = { width: 390, height: 844 };
// The page draws what the screen has room for. This one has room for everything that is said here.
const TALL = { width: 1000, height: 16_000 };

const OPENING = [
  ['Anna', 'Morning! Did the gateway survive the night?'],
  ['Tomás', 'It did. I restarted it twice while you slept, and nobody noticed.'],
  ['Anna', 'I saw “reconnecting” for a second on my phone, then it just went on.'],
  ['Anna', 'How does it know where I was?'],
  ['Tomás', 'A room is a log, and everyone holds a position in it. You come back, say where you stood, and the gateway reads on from there.'],
  ['Anna', 'So a restart, a slow phone and a lost packet are all the same thing?'],
  ['Tomás', 'Read on from a position. That is the whole trick.'],
];

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** The server, as its owner at the other end of stdin and stdout lets us have it. */
class Parent {
  #lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

  async ask(request, answer) {
    console.log(request);
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`stdin ended before '${answer}'`);
    if (value.trim() !== answer) throw new Error(`expected '${answer}' on stdin, got '${value}'`);
  }
}

/** One person at one page, who uses it as people do, and who notes what should not happen there. */
class Person {
  said = [];
  connectedAgainAt = 0;
  troubles = [];

  static async at(browser, url, name, colorScheme) {
    const context = await browser.newContext({ viewport: TALL, colorScheme, locale: 'en-GB' });
    context.setDefaultTimeout(DEADLINE_SECONDS * 1_000);
    const person = new Person();
    person.name = name;
    person.page = await context.newPage();
    person.#watch(new URL(url).host);
    await person.page.goto(url);
    return person;
  }

  #watch(host) {
    this.page.on('pageerror', (error) => this.troubles.push(`script error: ${error}`));
    this.page.on('console', (message) => {
      // The browser itself reports every request that fails while the server is away.
      const expected = /net::ERR_|WebSocket connection to|Failed to load resource/.test(message.text());
      if (message.type() === 'error' && !expected) this.troubles.push(`console: ${message.text()}`);
    });
    this.page.on('request', (request) => {
      const url = new URL(request.url());
      if (url.protocol !== 'data:' && url.host !== host) this.troubles.push(`request to elsewhere: ${url}`);
    });
    this.page.on('websocket', (socket) => {
      if (socket.url().includes('?')) this.troubles.push('something was put into the WebSocket’s URL');
    });
  }

  async join(room) {
    await this.page.getByLabel('Your name').fill(this.name);
    await this.page.getByLabel('Room').fill(room);
    await this.page.getByRole('button', { name: 'Join' }).click();
    await this.status(STREAMS ? /connected to .*, without a WebSocket/ : 'connected to').waitFor();
  }

  status(text) {
    return this.page.getByTestId('status').filter({ hasText: text });
  }

  /** For some seconds the page says what came meanwhile, and then that it is connected. Who sees that it waits, need not. */
  async connected() {
    const there = this.status(/connected to|caught up: \d+ messages?/);
    const hurry = this.page.getByRole('button', { name: 'Connect now' });
    while (!(await there.isVisible())) {
      await hurry.click({ timeout: 500 }).catch(() => {});
      await sleep(200);
    }
  }

  /** Types a line and sends it, now with Enter and now with the button. */
  async say(text) {
    const composer = this.page.getByRole('textbox', { name: 'Message' });
    await composer.fill(text);
    for (;;) {
      if (this.said.length % 2) await this.page.getByRole('button', { name: 'Send' }).click();
      else await composer.press('Enter');
      // Whoever hurries the connection at the same moment takes the keyboard away; then the text is still there.
      if ((await composer.inputValue()) === '') break;
    }
    this.said.push(text);
  }

  /** What stands on the page, from top to bottom. */
  lines() {
    return this.page.getByTestId('message').evaluateAll((items) =>
      items.map((item) => {
        const { epoch, seq, state } = item.dataset;
        return { text: item.querySelector('.said').textContent, epoch, seq: Number(seq), state };
      }),
    );
  }

  async picture(dir, file, viewport, colorScheme) {
    await this.page.setViewportSize(viewport);
    await this.page.emulateMedia({ colorScheme });
    await sleep(150);
    await this.page.screenshot({ path: join(dir, file) });
    await this.page.setViewportSize(TALL);
  }
}

/** Lets people talk, everyone for themselves, until told to stop. */
function talk(people) {
  let on = true;
  const talks = people.map(async (person) => {
    while (on) {
      await person.say(`${person.name} ${person.said.length}`);
      await sleep(100);
    }
  });
  const ended = Promise.all(talks);
  // When the story breaks off, nobody waits for the talks any more, and the browser goes away under them.
  ended.catch(() => {});
  return () => {
    on = false;
    return ended;
  };
}

/** One person's wire is cut for a while. The log is still there, so that page goes on from where it stood and has no break to show. */
async function cut(wire, people, person) {
  const silence = talk(people);
  wire.cut();
  await waitingLines(person, WRITTEN_WHILE_AWAY);
  wire.mend();
  await person.connected();
  await silence();
  await allSaid(people);
  const breaks = await person.page.getByTestId('gap').allTextContents();
  if (breaks.length) throw new Error(`${person.name}'s page did not go on from where it stood: ${breaks}`);
}

/** One restart amid the talk. Returns how many lines were written into pages whose server was away. */
async function restart(parent, people, dir) {
  const silence = talk(people);
  await sleep(1_000);
  await parent.ask('READY_FOR_STOP', 'stopped');
  const waiting = await Promise.all(people.map((person) => waitingLines(person, WRITTEN_WHILE_AWAY)));
  const shown = await people[0].page.getByTestId('status').innerText();
  if (!/reconnecting( in \d+ s|…)/.test(shown)) throw new Error(`the server is away, and the page says '${shown}'`);
  await people[0].picture(dir, 'away.png', DESK, 'light');
  await parent.ask('READY_FOR_START', 'started');
  await Promise.all(people.map((person) => person.connected()));
  for (const person of people) person.connectedAgainAt = person.said.length;
  await sleep(1_000);
  await silence();
  await allSaid(people);
  return waiting.reduce((sum, n) => sum + n, 0);
}

async function waitingLines(person, enough) {
  for (;;) {
    const count = (await person.lines()).filter(({ state }) => state === 'sending').length;
    if (count >= enough) return count;
    await sleep(50);
  }
}

async function allSaid(people) {
  const expected = everything(people).length;
  for (;;) {
    const pages = await Promise.all(people.map((person) => person.lines()));
    if (pages.every((lines) => lines.length >= expected && lines.every(({ state }) => state === 'sent'))) return;
    await sleep(50);
  }
}

const everything = (people) => people.flatMap(({ said }) => said);

/** Everything that is wrong with what the pages show, in words. */
function verdict(people, pages) {
  const wrong = people.flatMap(({ name, troubles }) => troubles.map((trouble) => `${name}: ${trouble}`));
  const expected = everything(people);
  people.forEach(({ name }, i) => {
    for (const { text, state } of pages[i]) if (state !== 'sent') wrong.push(`${name} sees '${text}' still ${state}`);
    const texts = pages[i].map(({ text }) => text);
    const shown = new Set(texts);
    for (const text of expected) if (!shown.has(text)) wrong.push(`${name} lost '${text}'`);
    for (const text of shown) {
      // What a dying server had said to one, and not confirmed to the other, is said again to the next, which knows nothing of it.
      const logs = pages[i].filter((line) => line.text === text).map(({ epoch }) => epoch);
      const times = logs.length;
      if (new Set(logs).size < times) wrong.push(`${name} sees '${text}' ${times} times`);
    }
    for (const author of people) {
      const order = texts.filter((text, at) => author.said.includes(text) && texts.indexOf(text) === at);
      if (order.join('\n') !== author.said.join('\n')) wrong.push(`${name} does not see what ${author.name} said in the order it was said`);
    }
    pages[i].forEach(({ epoch, seq, text }, n, all) => {
      const before = all.slice(0, n).findLast((line) => line.epoch === epoch);
      if (before && before.seq >= seq) wrong.push(`${name} sees '${text}' at ${seq} after ${before.seq}`);
    });
  });
  // A line from just before a crash may stand in the old log on one page and in the new log on the other. Where both saw it in the
  // same log they must agree, and that holds for all that came after the last restart.
  const [one, other] = pages.map((lines) => new Map(lines.map((line) => [line.text, line])));
  const common = (lines) => lines.filter(({ text }) => one.get(text)?.epoch === other.get(text)?.epoch);
  const [first, second] = pages.map((lines) => common(lines).map(({ text, epoch, seq }) => `${epoch} ${seq} ${text}`));
  if (first.join('\n') !== second.join('\n')) wrong.push('the pages show a different order');
  const inBoth = new Set(common(pages[0]).map(({ text }) => text));
  const lately = people.flatMap(({ said, connectedAgainAt }) => said.slice(connectedAgainAt));
  for (const text of lately) if (!inBoth.has(text)) wrong.push(`'${text}' was said after the restart and yet stands in different logs`);
  return wrong;
}

async function pictures(dir, people) {
  const [light, dark] = people;
  await light.picture(dir, 'light-desk.png', DESK, 'light');
  await dark.picture(dir, 'dark-desk.png', DESK, 'dark');
  await light.picture(dir, 'light-phone.png', PHONE, 'light');
  await dark.picture(dir, 'dark-phone.png', PHONE, 'dark');
}

async function test(browser, url, dir) {
  const parent = new Parent();
  const wire = await Wire.to(new URL(url));
  const anna = await Person.at(browser, url, 'Anna', 'light');
  const tomas = await Person.at(browser, wire.url(url), 'Tomás', 'dark');
  const people = [anna, tomas];
  const deadline = sleep(DEADLINE_SECONDS * 1_000).then(() => {
    throw new Error(`not done in ${DEADLINE_SECONDS} s`);
  });
  let written = 0;
  const story = async () => {
    for (const person of people) await person.join('garden');
    for (const [name, text] of OPENING) {
      await people.find((person) => person.name === name).say(text);
      await allSaid(people);
    }
    await pictures(dir, people);
    await cut(wire, people, tomas);
    for (let round = 0; round < ROUNDS; round += 1) written += await restart(parent, people, dir);
  };
  const wrong = [];
  await Promise.race([story(), deadline]).catch((error) => wrong.push(error.message));
  const pages = await Promise.all(people.map((person) => person.lines()));
  wrong.push(...verdict(people, pages));
  await anna.picture(dir, 'end-light.png', DESK, 'light');
  await tomas.picture(dir, 'end-dark.png', DESK, 'dark');
  wire.close();
  if (wrong.length) {
    console.error(wrong.join('\n'));
    for (const [i, lines] of pages.entries()) {
      console.error(`${people[i].name}'s page, ${await people[i].status('').innerText()}:`);
      console.error(lines.map((line) => Object.values(line).join(' ')).join('\n'));
    }
    console.log(`chat: FAILED, ${wrong.length} things wrong, the first: ${wrong[0]}`);
    return 1;
  }
  const shown = `${people.length} pages show ${pages[0].length} lines, each once and in one order`;
  console.log(`chat: ok, ${shown}; 1 cut, ${ROUNDS} restarts, ${written} lines written while the server was away`);
  return 0;
}

function missing(what) {
  console.error(what);
  process.exit(2);
}

const [url, dir] = process.argv.slice(2);
if (!url || !dir) missing('usage: node chat.mjs <page url> <artifact dir>');
if (!existsSync(CHROMIUM)) missing(`there is no browser at ${CHROMIUM}: apt-get install chromium, or name one in CHROMIUM`);
const { chromium } = await import('playwright-core').catch(() => missing('playwright-core is not installed: run `npm ci` beside chat.mjs'));

mkdirSync(dir, { recursive: true });
const browser = await chromium.launch({
  executablePath: CHROMIUM,
  headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
});
let code = 1;
try {
  code = await test(browser, url, dir);
} catch (error) {
  console.log(`chat: FAILED, ${error.message}`);
} finally {
  await browser.close();
}
process.exit(code);
