// One person who chats: connects, proves who it is, joins one room, says something now and then, and checks all it is
// told. If its plan says so, it comes back when its connection ends, and reads on from where it was.

import { check } from 'k6';
import { Ledger } from './ledger.js';
import { ack, back, delivery, ready } from './metrics.js';
import { cuts, errors, finished, holes, lost, missed, received, replayed, sessions } from './metrics.js';
import { WebSocket, cut, mayReturn } from './socket.js';
import { mint } from './token.js';

// How long it waits, at most, before it tries to connect again.
const LONGEST_BACKOFF_MS = 30_000;

const OPEN = 1;

export class User {
  // `plan`: arrive, leave, cuts (ms from the run's start), room, intervalMs, reconnect, phase(ms).
  constructor(config, test, index, plan) {
    this.config = config;
    this.test = test;
    this.plan = plan;
    this.name = `k6-${index + 1}`;
    this.url = config.urls[index % config.urls.length];
    this.room = `${config.roomPrefix}-${plan.room}`;
    this.leaveAt = test.start + plan.leave;
    this.padding = 'x'.repeat(config.bytes);
    this.ledger = new Ledger(`${test.run}-${index}-`);
    // ref -> when it was last sent.
    this.sentAt = new Map();

    // Where it stands in its room's log: null until it has been in.
    this.position = null;
    this.joined = false;
    this.tries = 0;
    this.lostAt = 0;
    this.retryAfterMs = 0;
    // The room's last number when everyone had said their last: asked for at the end.
    this.asked = false;
    this.head = null;
    // In the order in which they become true, if they do: waiting for the last replies, closing, gone.
    this.leaving = false;
    this.closing = false;
    this.over = false;
    // The socket failed for good; anything at all failed.
    this.broken = false;
    this.failed = false;
  }

  start() {
    const at = (offset, then) => setTimeout(then, Math.max(0, this.test.start + offset - Date.now()));
    this.cutTimers = this.plan.cuts.map((offset) => at(offset, () => this.cut()));
    // Also ends a handshake or a join that nobody answers.
    this.leaveTimer = at(this.plan.leave, () => this.leave());
    at(this.plan.arrive, () => this.connect());
  }

  connect() {
    if (this.over) return;
    this.began = Date.now();
    this.cutting = false;
    this.error = null;
    this.socket = new WebSocket(this.url, ['chorus.v1']);
    this.socket.onopen = () => {
      if (this.over) return this.socket.close();
      this.send({ type: 'auth', token: this.config.token || mint(this.config, this.name) });
    };
    this.socket.onmessage = (message) => this.heed(message.data);
    // The end of a connection always comes as `close`, after its error if it had one.
    this.socket.onerror = (event) => (this.error = String(event.error));
    this.socket.onclose = () => this.ended();
  }

  // What it cannot make sense of is the server's fault, and ends it: k6 itself would go on without a word.
  heed(text) {
    if (this.over) return;
    try {
      this.receive(JSON.parse(text));
    } catch (error) {
      this.breakDown(`${error} at ${text.slice(0, 200)}`);
      this.finish();
      this.socket.close(1000);
    }
  }

  receive(frame) {
    switch (frame.type) {
      case 'welcome':
        this.send({ type: 'join', room: this.room, ref: 'join', since: this.position ?? undefined });
        break;
      case 'ok':
        this.answered(frame);
        break;
      case 'error':
        this.fail(`error ${frame.code}`);
        break;
      case 'reset':
        this.position = { epoch: frame.epoch, seq: frame.seq };
        this.fail(`reset ${frame.reason}`);
        break;
      case 'closing':
        this.retryAfterMs = frame.retry_after_ms ?? 0;
        break;
      default:
        // Logged events have a number, whatever their type; typing, presence and the like have none.
        if (frame.seq !== undefined) this.event(frame);
    }
  }

  answered(frame) {
    if (frame.ref === 'join') return this.entered(frame);
    if (frame.ref === 'head') {
      this.head = frame.events.length ? frame.events[frame.events.length - 1].seq : 0;
      return;
    }
    const wrong = this.ledger.ok(frame.ref, frame.seq);
    if (wrong) return this.fail(wrong);
    ack.add(Date.now() - this.sentAt.get(frame.ref));
    this.sentAt.delete(frame.ref);
  }

  entered(frame) {
    const { position } = this;
    if (position === null) {
      ready.add(Date.now() - this.began);
      // Not all at once: the first word comes at a random moment of the interval.
      if (this.plan.intervalMs > 0) this.talkIn(Math.random() * this.plan.intervalMs);
    } else {
      back.add(Date.now() - this.lostAt);
      const same = frame.recovered && frame.epoch === position.epoch && frame.seq === position.seq;
      if (!same) this.fail('not resumed where it was');
    }
    this.position = { epoch: frame.epoch, seq: frame.seq };
    // Up to here events are replayed.
    this.liveAfter = frame.head;
    this.joined = true;
    this.tries = 0;
    for (const ref of this.ledger.unanswered()) this.post(ref);
  }

  event(frame) {
    const now = Date.now();
    received.add(1);
    const step = frame.epoch === this.position.epoch ? frame.seq - this.position.seq : frame.epoch;
    if (step !== 1) {
      holes.add(1, { step: String(step) });
      this.complain(`${frame.seq} in ${frame.epoch} came after ${this.position.seq} in ${this.position.epoch}`);
    }
    this.position = { epoch: frame.epoch, seq: frame.seq };
    if (frame.seq <= this.liveAfter) replayed.add(1);
    else if (frame.data?.run === this.test.run) delivery.add(now - frame.data.sent, this.phase(now));
    const wrong = this.ledger.event(frame.id, frame.seq);
    if (wrong) this.fail(wrong);
  }

  phase(now) {
    return this.plan.phase?.(now - this.test.start);
  }

  talkIn(ms) {
    this.talkTimer = setTimeout(() => this.talk(), ms);
  }

  // What is said while the connection is away goes out when it is back.
  talk() {
    if (Date.now() >= this.leaveAt || this.leaving) return;
    const ref = this.ledger.say();
    if (this.joined) this.post(ref);
    this.talkIn(this.plan.intervalMs);
  }

  post(ref) {
    const now = Date.now();
    this.sentAt.set(ref, now);
    const data = { run: this.test.run, sent: now, text: this.padding };
    this.send({ type: 'message', room: this.room, ref, id: this.ledger.id(ref), data });
  }

  cut() {
    if (!this.joined || this.leaving) return;
    cuts.add(1);
    this.cutting = true;
    this.joined = false;
    this.lostAt = Date.now();
    cut(this.socket);
  }

  ended() {
    if (this.over) return;
    if (this.closing) {
      // A ping of the server's crossed our close, and k6 trips over answering it.
      if (this.error && !this.error.includes('close sent')) this.breakDown(this.error);
      return this.finish();
    }
    if (!this.plan.reconnect || !mayReturn(this.error)) {
      this.breakDown(this.error ?? 'closed by the server');
      return this.finish();
    }
    if (!this.cutting) {
      lost.add(1);
      if (this.joined) this.lostAt = Date.now();
    }
    this.joined = false;
    this.asked = false;
    // Anywhere in a span that doubles with each failure: whoever was cut together does not come back together.
    const span = Math.min(LONGEST_BACKOFF_MS, this.config.backoffMs * 2 ** this.tries++);
    this.connectTimer = setTimeout(() => this.connect(), Math.max(this.retryAfterMs, Math.random() * span));
    this.retryAfterMs = 0;
  }

  // Says no more, waits for what is still on its way, and closes.
  leave() {
    this.leaving = true;
    clearTimeout(this.talkTimer);
    if (!this.complete() && Date.now() < this.leaveAt + this.config.settleMs) {
      this.leaveTimer = setTimeout(() => this.leave(), 50);
      return;
    }
    if (!this.joined) {
      this.breakDown('not in its room at the end');
      this.finish();
    }
    this.closing = true;
    if (this.socket?.readyState !== OPEN) return;
    this.socket.close(1000);
    if (this.over) return;
    // A close that is never answered must not hold the test up.
    this.closeTimer = setTimeout(() => {
      this.breakDown('close not answered');
      this.finish();
    }, 5_000);
  }

  // Whether all that it said has come back to it, and all that the room holds has come.
  complete() {
    // Others may be slower: half a second for what they sent just before they left.
    if (!this.joined || Date.now() < this.leaveAt + 500) return false;
    if (!this.asked) {
      this.asked = true;
      this.head = null;
      this.send({ type: 'history', room: this.room, limit: 1, ref: 'head' });
    }
    return this.ledger.open.size === 0 && this.head !== null && this.position.seq >= this.head;
  }

  finish() {
    this.over = true;
    finished.add(1);
    for (const timer of [...this.cutTimers, this.talkTimer, this.leaveTimer, this.closeTimer, this.connectTimer]) {
      clearTimeout(timer);
    }
    this.ledger.settle();
    if (this.head !== null) missed.add(Math.max(0, this.head - this.position.seq));
    else if (!this.broken) this.fail('never told how far its room had come');
    const good = check(this, {
      'joined its room': (user) => user.position !== null,
      'stayed to the end and left in order': (user) => user.leaving && !user.broken,
    });
    sessions.add(good);
  }

  breakDown(why) {
    this.broken = true;
    this.fail(why);
  }

  fail(kind) {
    errors.add(1, { kind });
    this.complain(kind);
  }

  // One line a user: when something is wrong, it is often wrong for everyone, again and again.
  complain(what) {
    if (!this.failed) console.warn(`${this.name} in ${this.room} at ${this.url}: ${what}`);
    this.failed = true;
  }

  send(frame) {
    this.socket.send(JSON.stringify(frame));
  }
}
