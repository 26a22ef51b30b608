// A real browser's own EventSource, which comes back by itself.
//
//     node event_source.mjs <url of a gateway or a proxy> <query of the stream>
//
// Each frame is a line on stdout. CHROMIUM (/usr/bin/chromium) is the browser. It ends when stdin does, or when the browser gives up the stream.

import { chromium } from 'playwright-core';

const [url, query] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
});

async function end(code) {
  await browser.close();
  process.exit(code);
}

process.stdin.on('end', () => end(0)).resume();
const page = await browser.newPage();
// Any page of the site will do.
await page.goto(new URL('/healthz', url).href);
await page.exposeFunction('hear', (text) => console.log(text));
await page.exposeFunction('giveUp', () => end(1));
await page.evaluate((query) => {
  const source = new EventSource(`/v1/events?${query}`);
  source.onmessage = ({ data }) => window.hear(data);
  source.onerror = () => source.readyState === EventSource.CLOSED && window.giveUp();
}, query);
