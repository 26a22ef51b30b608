// People who chat: each virtual user connects, proves who it is, joins one room, says something now and then, and
// checks all it is told.
//
//   k6 run loadtest/k6/chat.js                     (../README.md has the parameters)
//
// All of them leave at the same moment, once everything they sent has been answered and has come back to them.

import { check } from 'k6';
import { Counter, Rate, Trend } from 'k6/metrics';
import crypto from 'k6/crypto';
import encoding from 'k6/encoding';
import exec from 'k6/execution';

const { WebSocket } = webSockets();

const config = {
  // Several are given to the users in turn.
  urls: text('CHORUS_URL', 'ws://127.0.0.1:8080/ws').split(','),
  token: text('CHORUS_TOKEN', ''),
  secret: text('CHORUS_JWT_SECRET', ''),
  audience: text('CHORUS_JWT_AUDIENCE', ''),
  issuer: text('CHORUS_JWT_ISSUER', ''),
  users: number('CHORUS_USERS', 30),
  rooms: number('CHORUS_ROOMS', 3),
  roomPrefix: text('CHORUS_ROOM_PREFIX', 'k6'),
  rampMs: number('CHORUS_RAMP_MS', 10_000),
  chatMs: number('CHORUS_CHAT_MS', 20_000),
  intervalMs: number('CHORUS_INTERVAL_MS', 1_000),
  bytes: number('CHORUS_BYTES', 128),
  // How long after the last word replies and events may take.
  settleMs: number('CHORUS_SETTLE_MS', 5_000),
  deliveryP95Ms: number('CHORUS_DELIVERY_P95_MS', 500),
  summary: text('CHORUS_SUMMARY', ''),
};

// From `send` in one user to the event in another, or in itself: one process, one clock.
const delivery = new Trend('chorus_delivery', true);
// From `send` to its `ok`.
const ack = new Trend('chorus_ack', true);
// From the start of the connect to the `ok` of the join.
const ready = new Trend('chorus_ready', true);

const sent = new Counter('chorus_sent');
const acked = new Counter('chorus_acked');
const unacked = new Counter('chorus_unacked');
const received = new Counter('chorus_received');
// Acknowledged, but never seen by its own sender.
const undelivered = new Counter('chorus_undelivered');
// Events whose number was not the last one's plus one: something was lost, repeated, or out of order.
const holes = new Counter('chorus_holes');
// `error` and `reset` frames, and connections that failed or that the server ended. Tagged with `kind`.
const errors = new Counter('chorus_errors');
// Users that got into their room and, at the end, out of it.
const sessions = new Rate('chorus_sessions');

export const options = {
  scenarios: {
    chat: {
      executor: 'per-vu-iterations',
      vus: config.users,
      iterations: 1,
      maxDuration: `${config.rampMs + config.chatMs + config.settleMs + 10_000}ms`,
      gracefulStop: '0s',
    },
  },
  thresholds: {
    checks: ['rate>0.99'],
    chorus_delivery: [`p(95)<${config.deliveryP95Ms}`],
    chorus_sessions: ['rate==1'],
    chorus_received: ['count>0'],
    chorus_errors: ['count==0'],
    chorus_holes: ['count==0'],
    chorus_unacked: ['count==0'],
    chorus_undelivered: ['count==0'],
  },
  summaryTrendStats: ['count', 'med', 'p(95)', 'p(99)', 'max'],
};

// Told to every user: when talk begins and ends, and what tells this run's messages from others in the same rooms.
export function setup() {
  if (!config.token && !config.secret) {
    exec.test.abort('give CHORUS_JWT_SECRET (to mint tokens) or CHORUS_TOKEN');
  }
  const now = Date.now();
  return {
    run: `${now.toString(36)}-${Math.random().toString(36).slice(2, 8)}`,
    start: now,
    end: now + config.rampMs + config.chatMs,
  };
}

export default function (test) {
  const index = exec.vu.idInTest - 1;
  // Users come evenly over the ramp.
  const due = test.start + (config.rampMs * index) / config.users;
  setTimeout(() => new User(index, test).connect(), Math.max(0, due - Date.now()));
}

class User {
  constructor(index, test) {
    this.test = test;
    this.name = `k6-${index + 1}`;
    this.url = config.urls[index % config.urls.length];
    // Neighbours share a room. Dealt out in turn like URLs and source addresses, rooms would each live on one gateway.
    this.room = `${config.roomPrefix}-${Math.floor((index * config.rooms) / config.users)}`;
    // Two runs may mint the same users, and messages' ids are per user: they carry the run.
    this.idPrefix = `${test.run}-${index}-`;
    this.padding = 'x'.repeat(config.bytes);

    this.count = 0;
    this.seq = null;
    this.joined = false;
    // In the order in which they become true, if they do: waiting for the last replies, closing, closed.
    this.leaving = false;
    this.closing = false;
    this.over = false;
    // The socket failed; anything at all failed.
    this.broken = false;
    this.failed = false;
    // ref -> when it was sent; until its `ok`.
    this.unanswered = new Map();
    // id -> whether it was acknowledged; until its event has come back.
    this.unseen = new Map();
  }

  connect() {
    this.began = Date.now();
    this.socket = new WebSocket(this.url, ['chorus.v1']);
    this.socket.onopen = () => this.send({ type: 'auth', token: config.token || mint(this.name) });
    this.socket.onmessage = (message) => this.receive(JSON.parse(message.data));
    // k6 tells no close code: whatever is not 1000 or 1001 comes as an error first, with the code in its text.
    this.socket.onerror = (event) => {
      const error = String(event.error);
      // A ping of the server's crossed our close, and k6 trips over answering it.
      if (this.closing && error.includes('close sent')) return;
      this.broken = true;
      this.fail(error);
    };
    this.socket.onclose = () => this.closed();
    // Also ends a handshake or a join that nobody answers.
    this.leaveTimer = setTimeout(() => this.leave(), Math.max(0, this.test.end - Date.now()));
  }

  receive(frame) {
    switch (frame.type) {
      case 'welcome':
        this.send({ type: 'join', room: this.room, ref: 'join' });
        break;
      case 'ok':
        this.answered(frame);
        break;
      case 'error':
        this.fail(`error ${frame.code}`);
        break;
      case 'reset':
        this.seq = frame.seq;
        this.fail(`reset ${frame.reason}`);
        break;
      default:
        // Logged events have a number, whatever their type; typing, presence and the like have none.
        if (frame.seq !== undefined) this.event(frame);
    }
  }

  answered(frame) {
    if (frame.ref === 'join') {
      ready.add(Date.now() - this.began);
      this.joined = true;
      this.seq = frame.seq;
      // Not all at once: the first word comes at a random moment of the interval.
      this.talkTimer = setTimeout(() => this.talk(), Math.random() * config.intervalMs);
      return;
    }
    const at = this.unanswered.get(frame.ref);
    if (at === undefined) return this.fail('ok to nothing');
    this.unanswered.delete(frame.ref);
    acked.add(1);
    ack.add(Date.now() - at);
    const id = this.idPrefix + frame.ref;
    if (this.unseen.has(id)) this.unseen.set(id, true);
  }

  event(frame) {
    received.add(1);
    if (frame.seq !== this.seq + 1) holes.add(1, { step: String(frame.seq - this.seq) });
    this.seq = frame.seq;
    if (frame.data && frame.data.run === this.test.run) delivery.add(Date.now() - frame.data.sent);
    this.unseen.delete(frame.id);
  }

  talk() {
    if (Date.now() >= this.test.end || this.leaving) return;
    const ref = ++this.count;
    const id = this.idPrefix + ref;
    const now = Date.now();
    const data = { run: this.test.run, sent: now, text: this.padding };
    this.unanswered.set(ref, now);
    this.unseen.set(id, false);
    this.send({ type: 'message', room: this.room, ref, id, data });
    sent.add(1);
    this.talkTimer = setTimeout(() => this.talk(), config.intervalMs);
  }

  // Waits for what is still on its way, then closes.
  leave() {
    this.leaving = true;
    clearTimeout(this.talkTimer);
    const waiting = this.unanswered.size + this.unseen.size > 0;
    if (waiting && Date.now() < this.test.end + config.settleMs) {
      this.leaveTimer = setTimeout(() => this.leave(), 50);
      return;
    }
    this.settle();
    // Others may be slower: whatever they sent still comes, and is checked, in a last half second.
    this.leaveTimer = setTimeout(() => {
      this.closing = true;
      this.socket.close(1000);
    }, 500);
    // A close that is never answered must not hold the test up.
    this.closeTimer = setTimeout(() => {
      this.broken = true;
      this.fail('close not answered');
      this.closed();
    }, 5_000);
  }

  closed() {
    if (this.over) return;
    this.over = true;
    if (!this.leaving && !this.broken) this.fail('closed by the server');
    for (const timer of [this.talkTimer, this.leaveTimer, this.closeTimer]) clearTimeout(timer);
    this.settle();
    const good = check(this, {
      'joined its room': (user) => user.joined,
      'stayed to the end and left in order': (user) => user.leaving && !user.broken,
    });
    sessions.add(good);
  }

  // Counts, once, what never came.
  settle() {
    unacked.add(this.unanswered.size);
    undelivered.add([...this.unseen.values()].filter((known) => known).length);
    this.unanswered.clear();
    this.unseen.clear();
  }

  fail(kind) {
    errors.add(1, { kind });
    // One line a user: when something is wrong, it is often wrong for everyone, again and again.
    if (!this.failed) console.warn(`${this.name} in ${this.room} at ${this.url}: ${kind}`);
    this.failed = true;
  }

  send(frame) {
    this.socket.send(JSON.stringify(frame));
  }
}

// A token for `user`, good for this run.
function mint(user) {
  const now = Math.floor(Date.now() / 1000);
  const exp = now + Math.ceil((config.rampMs + config.chatMs + config.settleMs) / 1000) + 300;
  const claims = { sub: user, name: user, iat: now, exp };
  if (config.audience) claims.aud = config.audience;
  if (config.issuer) claims.iss = config.issuer;
  const part = (value) => encoding.b64encode(JSON.stringify(value), 'rawurl');
  const body = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${body}.${crypto.hmac('sha256', config.secret, body, 'base64rawurl')}`;
}

export function handleSummary(data) {
  const files = { stdout: report(data) };
  if (config.summary) files[config.summary] = JSON.stringify(data, null, 2);
  return files;
}

function report(data) {
  const count = (name) => data.metrics[name]?.values.count ?? 0;
  const times = (name) => {
    const values = data.metrics[name]?.values;
    if (!values?.count) return 'none';
    const ms = (stat) => `${Math.round(values[stat])} ms`;
    return `median ${ms('med')}, p95 ${ms('p(95)')}, p99 ${ms('p(99)')}, max ${ms('max')}`;
  };
  const broken = Object.entries(data.metrics).flatMap(([name, metric]) =>
    Object.entries(metric.thresholds ?? {}).filter(([, result]) => !result.ok).map(([rule]) => `${name} ${rule}`),
  );
  return `
  users       ${config.users} in ${config.rooms} rooms, over ${config.urls.join(', ')}
  sent        ${count('chorus_sent')}, acknowledged ${count('chorus_acked')}, never ${count('chorus_unacked')}
  received    ${count('chorus_received')}, holes ${count('chorus_holes')}, own ones never ${count('chorus_undelivered')}
  errors      ${count('chorus_errors')}
  delivery    ${times('chorus_delivery')}
  ok          ${times('chorus_ack')}
  connected   ${times('chorus_ready')}
  ${broken.length ? `FAILED      ${broken.join('; ')}` : 'passed      every threshold'}
`;
}

// k6 1.1 has its WebSockets under this name, later ones without "experimental".
function webSockets() {
  try {
    return require('k6/websockets');
  } catch {
    return require('k6/experimental/websockets');
  }
}

function text(name, fallback) {
  return __ENV[name] || fallback;
}

function number(name, fallback) {
  const value = Number(__ENV[name] || fallback);
  if (!(value >= 0)) throw new Error(`${name}: "${__ENV[name]}" is not a number`);
  return value;
}
