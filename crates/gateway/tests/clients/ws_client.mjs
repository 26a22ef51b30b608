// A client of a chat room on Node's `ws`, which we did not write. ws_client.py is the same on Python's `websockets`.
//
//     node ws_client.mjs --url ws://127.0.0.1:8080/ws --token JWT --room lobby --name n1 --count 50 --expect 150 [--rate 40] [--deadline 60]
//
// Without --token the token is taken from CHORUS_TOKEN. It authenticates by its first frame, joins with the last --expect messages
// replayed (so that clients need not start together), says --count messages `{"text": "<name> <i>"}` with the ids `<name>-<i>`, at most --rate a
// second and 16 unanswered, and waits until all of them are acknowledged and --expect messages of the room were seen: all that
// everyone says, from an empty room on. Then it listens 300 ms longer, for what must not come.
//
// stdout: one line {"client", "ok", "seen": [[epoch, seq, from, id], …], "acked": {id: seq}, "error"}, also on failure.
// Exit: 0 when ok, 1 when not, 2 when called wrongly or when `ws` is missing.

import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';

const UNANSWERED = 16;
const LISTEN_ON_MS = 300;
const RETRY_MS = 200;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function usage(what) {
  console.error(what);
  process.exit(2);
}

function options() {
  const option = (name, fallback) => ({ [name]: { type: 'string', default: fallback } });
  const required = ['url', 'room', 'name', 'count', 'expect'];
  const others = { ...option('token', process.env.CHORUS_TOKEN), ...option('rate', '40'), ...option('deadline', '60') };
  const { values } = parseArgs({ options: Object.assign(others, ...required.map((name) => option(name))) });
  for (const name of [...required, 'token']) if (!values[name]) usage(`--${name} is missing`);
  for (const name of ['count', 'expect', 'rate', 'deadline']) values[name] = Number(values[name]);
  return values;
}

class Client {
  seen = [];
  acked = {};
  #options;
  #socket;
  #position = null;
  #unanswered = new Set();
  #said = new Set();
  #sentAgain = false;
  #fail;
  #joined;

  constructor(WebSocket, options) {
    this.#options = options;
    this.failure = new Promise((_, reject) => (this.#fail = reject));
    this.joined = new Promise((resolve) => (this.#joined = resolve));
    this.#socket = new WebSocket(options.url, 'chorus.v1');
    this.#socket.on('open', () => this.#send({ type: 'auth', token: options.token }));
    this.#socket.on('message', (data, isBinary) => this.#received(data, isBinary));
    this.#socket.on('error', (error) => this.#fail(error));
    this.#socket.on('close', (code, reason) => this.#fail(new Error(`closed with ${code} ${reason}`)));
  }

  async run() {
    await this.joined;
    const { name, count, expect, rate } = this.#options;
    for (let i = 0; i < count; i += 1) {
      while (this.#unanswered.size >= UNANSWERED) await sleep(5);
      const id = `${name}-${i}`;
      this.#unanswered.add(id);
      this.#say(id);
      await sleep(1_000 / rate);
    }
    while (this.#unanswered.size || this.seen.length < expect) await sleep(20);
    await sleep(LISTEN_ON_MS);
    this.#check();
    this.#socket.close(1000);
  }

  #send(frame) {
    this.#socket.send(JSON.stringify(frame));
  }

  #say(id) {
    const { name, room } = this.#options;
    const text = `${name} ${id.slice(name.length + 1)}`;
    this.#send({ type: 'message', room, ref: id, id, data: { text } });
  }

  #received(data, isBinary) {
    try {
      if (isBinary) throw new Error('a binary frame');
      this.#frame(JSON.parse(data));
    } catch (error) {
      this.#fail(error);
    }
  }

  #frame(frame) {
    const { room, expect } = this.#options;
    switch (frame.type) {
      case 'welcome':
        return this.#send({ type: 'join', ref: 'join', room, recent: expect });
      case 'ok':
        return frame.ref === 'join' ? this.#entered(frame) : this.#acknowledged(frame);
      case 'error':
        return this.#refused(frame);
      case 'message':
        return this.#event(frame);
      case 'reset':
      case 'closing':
        throw new Error(JSON.stringify(frame));
      default:
    }
  }

  #entered({ epoch, seq }) {
    this.#position = { epoch, seq };
    this.#joined();
  }

  #acknowledged({ ref, id, seq }) {
    if (id !== ref) throw new Error(`the ok for ${ref} speaks of ${id}`);
    this.#unanswered.delete(ref);
    this.acked[ref] = seq;
  }

  #refused({ ref, code, message, retry_after_ms: wait = RETRY_MS }) {
    if (!this.#unanswered.has(ref) || !['unavailable', 'rate_limited'].includes(code)) throw new Error(`error ${code} for ${ref}: ${message}`);
    this.#sentAgain = true;
    setTimeout(() => this.#say(ref), wait);
  }

  #event({ room, epoch, seq, from, id }) {
    if (room !== this.#options.room) throw new Error(`a message of room ${room}`);
    if (seq !== this.#position.seq + 1) throw new Error(`seq ${seq} after ${this.#position.seq}`);
    const key = `${from} ${id}`;
    if (this.#said.has(key)) throw new Error(`${key} came twice`);
    this.#said.add(key);
    this.#position = { epoch, seq };
    this.seen.push([epoch, seq, from, id]);
  }

  #check() {
    const { name, count, expect } = this.#options;
    if (this.seen.length !== expect) throw new Error(`saw ${this.seen.length} messages, not ${expect}`);
    const at = new Map(this.seen.map(([, seq, , id]) => [id, seq]));
    const own = Array.from({ length: count }, (_, i) => `${name}-${i}`);
    for (const id of own) if (at.get(id) !== this.acked[id]) throw new Error(`${id} was acknowledged at ${this.acked[id]} and seen at ${at.get(id)}`);
    const inOrder = own.every((id, i) => i === 0 || at.get(own[i - 1]) < at.get(id));
    if (!inOrder && !this.#sentAgain) throw new Error('own messages are not in the order sent');
  }
}

const { default: WebSocket } = await import('ws').catch(() => usage('ws is not installed: run `npm ci` beside ws_client.mjs'));
const { version } = createRequire(import.meta.url)('ws/package.json');
const settings = options();
const client = new Client(WebSocket, settings);
const deadline = sleep(settings.deadline * 1_000).then(() => {
  throw new Error(`not done in ${settings.deadline} s: saw ${client.seen.length} messages`);
});
let error = null;
await Promise.race([client.run(), client.failure, deadline]).catch((failure) => (error = failure.message));
const { seen, acked } = client;
const report = JSON.stringify({ client: `node ws ${version}`, ok: error === null, seen, acked, error });
process.stdout.write(`${report}\n`, () => process.exit(error === null ? 0 : 1));
