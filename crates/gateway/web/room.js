// One room as this page sees it: the last position it saw in the room's log, and what it said itself that it has not seen there yet.
// It knows no socket and no document: frames come in by `take`, go out by `send`, and lines are shown by the `view`.

import { backoff } from './connection.js';

const REPLAYED_LINES = 100;
const OUTBOX_LINES = 50;
const REMEMBERED_LINES = 5_000;
const SAY_AGAIN_MS = 10_000;
const SAY_AGAIN_LINES = 20;
const TYPING_EVERY_MS = 3_000;
const TYPING_LASTS_MS = 6_000;

// Only these pass by themselves. Every other error will meet the same line again.
const PASSING = new Set(['unavailable', 'rate_limited', 'internal']);

const BREAKS = {
  trimmed: 'Some lines in between are no longer kept by the server.',
  forked: 'A server was lost, and it may have taken the last lines above with it.',
  new: 'The server began a new log here. What stands above is on this page only.',
};

/**
 * A line is { from, name?, at, data, own, state, why?, id?, epoch?, seq? }. Its state is `waiting` (for its turn or for a connection),
 * `sending`, `failed` or `said`; only a line that was said has a position.
 *
 * `onChange` tells that `joined`, `unsaid`, `trouble` or `typists` may have changed; typists also fall silent without it.
 * `onRefused(message)` ends the stay: the server will not let this user into this room.
 */
export class Room {
  joined = false;
  trouble = null;
  #name;
  #user;
  #send;
  #view;
  #onChange;
  #onRefused;
  #position = null;
  #replayedTo = 0;
  #outbox = [];
  #inFlight = null;
  #retryTimer = 0;
  #joinFailures = 0;
  #lostAt = 0;
  #recentlySaid = [];
  #seen = new Map();
  #names = new Map();
  #typing = new Map();
  #typedAt = 0;

  constructor({ name, user, send, view, onChange, onRefused }) {
    this.#name = name;
    this.#user = user;
    this.#send = send;
    this.#view = view;
    this.#onChange = onChange;
    this.#onRefused = onRefused;
  }

  /** The connection is there: go on from where this page stands, or, the first time and when that place is gone, from the last lines. */
  join() {
    clearTimeout(this.#retryTimer);
    this.trouble = null;
    const since = this.#position ?? undefined;
    this.#send({ type: 'join', ref: 'join', room: this.#name, since, recent: REPLAYED_LINES });
  }

  /** The connection is gone. Whatever has not been seen in the log may or may not be in it: it waits to be sent again with the same id. */
  lose() {
    clearTimeout(this.#retryTimer);
    if (this.joined) this.#lostAt = Date.now();
    this.joined = false;
    this.trouble = null;
    this.#inFlight = null;
    this.#typing.clear();
    for (const line of this.#outbox) {
      line.acknowledged = false;
      this.#show(line, 'waiting');
    }
    this.#onChange();
  }

  /** How many lines of this page are not said yet. */
  get unsaid() {
    return this.#outbox.filter(({ again }) => !again).length;
  }

  /** The names of the others who are typing now. */
  get typists() {
    const now = Date.now();
    return [...this.#typing].filter(([, until]) => until > now).map(([user]) => this.#nameOf(user));
  }

  /** Takes a line to say; false when too many wait already. */
  say(text) {
    if (this.unsaid >= OUTBOX_LINES) return false;
    const line = { id: crypto.randomUUID(), from: this.#user, at: Date.now(), data: { text }, own: true, failures: 0 };
    this.#outbox.push(line);
    this.#show(line, 'waiting');
    this.#typedAt = 0;
    this.#sendNext();
    this.#onChange();
    return true;
  }

  /** Lets the others know that this user types (`on`, told again every few seconds at most) or stopped to. */
  type(on) {
    const now = Date.now();
    const told = now - this.#typedAt < TYPING_EVERY_MS;
    if (!this.joined || on === told) return;
    this.#typedAt = on ? now : 0;
    this.#send({ type: 'typing', room: this.#name, on });
  }

  take(frame) {
    if (frame.type === 'error') return this.#error(frame);
    if (frame.room !== this.#name) return;
    if (frame.type === 'ok') this.#ok(frame);
    else if (frame.type === 'reset') this.#reset(frame);
    else if (frame.type === 'typing') this.#typed(frame);
    else if (frame.seq !== undefined) this.#event(frame);
  }

  #ok(frame) {
    if (frame.ref !== 'join') return this.#acknowledged(frame);
    const before = this.#position;
    this.joined = true;
    this.#joinFailures = 0;
    this.#position = { epoch: frame.epoch, seq: frame.seq };
    this.#replayedTo = frame.head;
    if (before && !frame.recovered) {
      const reason = before.epoch !== frame.epoch ? 'new' : before.seq > frame.head ? 'forked' : 'trimmed';
      this.#broken(reason, (line) => line.saidAt > this.#lostAt - SAY_AGAIN_MS);
    }
    this.#onChange();
    this.#sendNext();
  }

  /** An `ok` moves no position: a line is said when its event comes. Only one that lies behind this page's position will not come any more. */
  #acknowledged({ ref, epoch, seq }) {
    if (this.#inFlight?.id === ref) this.#inFlight = null;
    const line = this.#outbox.find(({ id }) => id === ref);
    if (line) {
      line.acknowledged = true;
      if (epoch === this.#position.epoch && seq <= this.#position.seq) this.#said(line, { epoch, seq });
    }
    this.#sendNext();
  }

  #error({ ref, code, message, retry_after_ms: retryAfter }) {
    if (ref === 'join') {
      if (!PASSING.has(code)) return this.#onRefused(message ?? code);
      return this.#tryAgain(code, retryAfter ?? backoff(this.#joinFailures++), () => this.join());
    }
    const line = this.#inFlight;
    if (!line || line.id !== ref) return;
    this.#inFlight = null;
    if (code === 'not_joined') {
      this.lose();
      this.join();
    } else if (PASSING.has(code)) {
      this.#show(line, 'waiting');
      this.#tryAgain(code, retryAfter ?? backoff(line.failures++), () => this.#sendNext());
    } else {
      this.#outbox.splice(this.#outbox.indexOf(line), 1);
      line.why = message ?? code;
      this.#show(line, 'failed');
      this.#sendNext();
    }
    this.#onChange();
  }

  #tryAgain(code, wait, act) {
    this.trouble = { code, until: Date.now() + wait };
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => {
      this.trouble = null;
      this.#onChange();
      act();
    }, wait);
    this.#onChange();
  }

  #reset({ epoch, seq, reason }) {
    this.#position = { epoch, seq };
    this.#replayedTo = 0;
    const now = Date.now();
    this.#broken(reason, (line) => (reason === 'forked' ? line.seq > seq : line.saidAt > now - SAY_AGAIN_MS));
  }

  /**
   * This page's place in the log is gone. When the log itself lost lines, the others may not have got the last ones, though the server
   * had said `ok`: so this page says its own of those again, with the same ids. Whoever has seen them does not show them twice.
   */
  #broken(reason, mayBeLost) {
    this.#view.divide(BREAKS[reason] ?? 'The server lost this page’s place in the room.');
    if (reason !== 'trimmed') {
      const again = this.#recentlySaid.filter(mayBeLost);
      for (const line of again) line.again = true;
      this.#outbox.unshift(...again);
      this.#recentlySaid = [];
    }
    // What was acknowledged and not seen yet may have been skipped: sent again, it is either known or said anew.
    for (const line of this.#outbox) line.acknowledged = false;
    this.#sendNext();
  }

  #event(frame) {
    const { epoch, seq } = frame;
    if (epoch === this.#position?.epoch && seq <= this.#position.seq) return;
    this.#position = { epoch, seq };
    if (frame.type === 'message') this.#message(frame);
    this.#sendNext();
  }

  #message(frame) {
    const { epoch, seq, from, name, id } = frame;
    const own = from === this.#user;
    if (name) this.#names.set(from, name);
    this.#typing.delete(from);
    const mine = own && this.#outbox.find((line) => line.id === id);
    if (mine) {
      if (this.#inFlight === mine) this.#inFlight = null;
      this.#said(mine, frame);
    } else if (!this.#known(`at ${epoch} ${seq}`, epoch) && !(id && this.#known(`by ${from} ${id}`, epoch))) {
      this.#remember(frame);
      this.#show({ ...frame, name: this.#nameOf(from), own }, 'said');
    }
    this.#onChange();
  }

  /** Within one epoch the server sees to it that an id comes once; after a break, the same id is the same line said again. */
  #known(key, epoch) {
    const seenIn = this.#seen.get(key);
    return seenIn !== undefined && (key.startsWith('at ') || seenIn !== epoch);
  }

  #remember({ epoch, seq, from, id }) {
    this.#seen.set(`at ${epoch} ${seq}`, epoch);
    if (id) this.#seen.set(`by ${from} ${id}`, epoch);
    while (this.#seen.size > REMEMBERED_LINES) this.#seen.delete(this.#seen.keys().next().value);
  }

  #said(line, { epoch, seq, at = line.at }) {
    this.#outbox.splice(this.#outbox.indexOf(line), 1);
    this.#remember({ ...line, epoch, seq });
    this.#recentlySaid.push(line);
    if (this.#recentlySaid.length > SAY_AGAIN_LINES) this.#recentlySaid.shift();
    line.saidAt = Date.now();
    // What was said again keeps the place that it has on this page.
    if (!line.again) Object.assign(line, { epoch, seq, at });
    this.#show(line, 'said');
    line.again = false;
    this.#onChange();
  }

  /**
   * One line is on its way at a time, so that their order holds also when one has to be sent again. None is before the replay has
   * ended, because that may hold it.
   */
  #sendNext() {
    if (!this.joined || this.#inFlight || this.trouble || this.#position.seq < this.#replayedTo) return;
    const line = this.#outbox.find(({ acknowledged }) => !acknowledged);
    if (!line) return;
    const { id, data } = line;
    if (!this.#send({ type: 'message', room: this.#name, ref: id, id, data })) return;
    this.#inFlight = line;
    this.#show(line, 'sending');
    this.#onChange();
  }

  #show(line, state) {
    if (line.again || line.state === state) return;
    line.state = state;
    this.#view.show(line);
  }

  #typed({ from, on }) {
    if (from === this.#user) return;
    if (on) this.#typing.set(from, Date.now() + TYPING_LASTS_MS);
    else this.#typing.delete(from);
    this.#onChange();
  }

  /** What someone called themselves, or else the user id. */
  #nameOf(user) {
    return this.#names.get(user) ?? user;
  }
}
