// One connection that comes back. It fetches a guest token, connects by a WebSocket or else by an event stream, and when that is lost
// it connects again after a while, unless the close code says that there is no point. It knows nothing of rooms.

import { SocketLink, StreamLink } from './link.js';

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 30_000;
const STABLE_AFTER_MS = 1_000;
const HANDSHAKE_MS = 10_000;
const REFUSALS_IN_A_ROW = 5;

// After these the same client would only be closed again. 1008 and 4401 about the token are not among them: see `#closed`.
const FINAL_CODES = new Set([1000, 1002, 1003, 1007, 1008, 1009]);

// What a browser reports when no close frame came, or an empty one.
const LOST_CODES = new Set([1005, 1006]);

const REASONS = {
  bye: 'the server said goodbye',
  banned: 'you are banned from this server',
  kicked: 'a moderator ended this connection',
  rate_limited: 'too much was sent too fast',
  too_large: 'a message was too large',
  auth_failed: 'the server refuses the token',
  token_expired: 'the token has expired',
  restart: 'server restarting',
  going_away: 'server going away',
  heartbeat_timeout: 'the server did not hear from this page',
  overloaded: 'server overloaded',
  slow_consumer: 'this page fell too far behind',
};

/** How long to wait before try number `failures` (from 0): exponential, fully jittered, so that a crowd does not come back at once. */
export function backoff(failures) {
  const ceiling = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(failures, 16));
  return Math.random() * ceiling;
}

class NoGuests extends Error {}

/** A fresh guest token. It is fetched before each connect, because a restarted server signs with another key. */
async function guestToken(user, name) {
  const query = new URLSearchParams({ user, name });
  const response = await fetch(`/dev/token?${query}`, { cache: 'no-store', signal: AbortSignal.timeout(HANDSHAKE_MS) });
  if (response.status >= 400 && response.status < 500 && response.status !== 429) {
    const { detail } = await response.json().catch(() => ({}));
    throw new NoGuests(detail ?? `this server gives out no guest tokens (${response.status})`);
  }
  if (!response.ok) throw new Error(`no guest token (${response.status})`);
  return (await response.json()).token;
}

/**
 * `onState` is told one of
 *   { is: 'connecting' }, { is: 'online', node, streams (whether by an event stream) }, { is: 'waiting', why, until (ms since 1970) }, { is: 'stopped', why }
 * and `onFrame` gets every frame that came while online, except those that concern the connection alone.
 */
export class Connection {
  #user;
  #name;
  #onState;
  #onFrame;
  #link = null;
  #Link = SocketLink;
  #token = '';
  #online = false;
  #onlineSince = 0;
  #closing = null;
  #failures = 0;
  #refusals = 0;
  #retryTimer = 0;
  #quietTimer = 0;
  #attempt = 0;

  constructor({ user, name, onState, onFrame }) {
    this.#user = user;
    this.#name = name;
    this.#onState = onState;
    this.#onFrame = onFrame;
  }

  /** Connects now, also instead of waiting any longer; does nothing while a connection is there or on its way. */
  async connect() {
    if (this.#link) return;
    clearTimeout(this.#retryTimer);
    const attempt = ++this.#attempt;
    this.#onState({ is: 'connecting' });
    try {
      this.#token = await guestToken(this.#user, this.#name);
    } catch (error) {
      if (attempt !== this.#attempt) return;
      if (error instanceof NoGuests) this.#stopped(error.message);
      else this.#retry('server unreachable');
      return;
    }
    if (attempt === this.#attempt) this.#open();
  }

  /** Ends it for good, or until the next `connect`. */
  stop() {
    this.#attempt += 1;
    clearTimeout(this.#retryTimer);
    this.#link?.close();
    this.#forget();
  }

  /** Sends one frame and says whether there was a connection to send it on. Sent is not received: only a reply tells that. */
  send(frame) {
    return this.#online && this.#link.send(frame);
  }

  #open() {
    this.#closing = null;
    this.#onlineSince = Infinity;
    // Each handler looks whether its link is still the one.
    const link = new this.#Link({
      token: this.#token,
      onFrame: (frame) => link === this.#link && this.#frame(frame),
      onClose: (code, reason) => link === this.#link && this.#closed(code, reason),
    });
    this.#link = link;
    this.#giveUpIn(HANDSHAKE_MS);
  }

  #frame(frame) {
    this.#pingWhenQuiet();
    switch (frame.type) {
      case 'welcome':
        this.#online = true;
        if (frame.node) {
          this.#onlineSince = Date.now();
          this.#refusals = 0;
        }
        this.#onState({ is: 'online', node: frame.node, streams: this.#Link === StreamLink });
        break;
      case 'closing':
        this.#closing = frame;
        break;
      case 'expiring':
        this.#renew();
        break;
      case 'pong':
        break;
      default:
        if (this.#online) this.#onFrame(frame);
    }
  }

  /** Answers `expiring`. If no token is to be had now, the server closes with 4401 and the next connect asks for one again. */
  async #renew() {
    const link = this.#link;
    const token = await guestToken(this.#user, this.#name).catch(() => null);
    if (token && link === this.#link) this.send({ type: 'auth', token });
  }

  /** What has worked is what is tried next. When nothing has, the server is gone, or something in between does not let this through. */
  #closed(code, reason) {
    if (!this.#link.opened) {
      const socket = this.#Link === SocketLink;
      this.#Link = socket ? StreamLink : SocketLink;
      if (socket) return this.#open();
    }
    const stable = this.#online && Date.now() - this.#onlineSince > STABLE_AFTER_MS;
    const retryAfter = this.#closing?.retry_after_ms;
    const why = REASONS[reason || this.#closing?.reason] ?? (LOST_CODES.has(code) ? 'connection lost' : `closed by the server (${code})`);
    this.#forget();
    if (stable) this.#failures = 0;

    const token = code === 4401 || (code === 1008 && reason === 'auth_failed');
    if (token) this.#refusals += 1;
    if (token ? this.#refusals >= REFUSALS_IN_A_ROW : FINAL_CODES.has(code)) this.#stopped(why);
    else this.#retry(why, retryAfter);
  }

  #retry(why, wait = backoff(this.#failures)) {
    this.#failures += 1;
    this.#retryTimer = setTimeout(() => this.connect(), wait);
    this.#onState({ is: 'waiting', why, until: Date.now() + wait });
  }

  #stopped(why) {
    this.#failures = 0;
    this.#refusals = 0;
    this.#onState({ is: 'stopped', why });
  }

  #forget() {
    clearTimeout(this.#quietTimer);
    this.#link = null;
    this.#online = false;
  }

  /** A page cannot see the server's pings, so it asks by itself when nothing came for a while: a dead connection makes no sound. */
  #pingWhenQuiet() {
    clearTimeout(this.#quietTimer);
    this.#quietTimer = setTimeout(() => {
      this.send({ type: 'ping' });
      this.#giveUpIn(HANDSHAKE_MS);
    }, this.#link.patience);
  }

  #giveUpIn(wait) {
    clearTimeout(this.#quietTimer);
    this.#quietTimer = setTimeout(() => {
      this.#link.close();
      this.#closed(1006, '');
    }, wait);
  }
}
