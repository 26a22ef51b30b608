// A stay in one room, from joining to leaving. It ties connection, room and conversation together, and its status line tells the
// truth about all three.

import { Connection } from './connection.js';
import { Conversation } from './conversation.js';
import { Room } from './room.js';

// A line that goes through at once should not make the status flicker.
const SENDING_SHOWN_AFTER_MS = 400;
const TOLD_EVERY_MS = 250;

const $ = (id) => document.getElementById(id);

/**
 * `me` is { user, name }. `onRefused(why)` says that the server does not let this user in; `onEdit(text)` gives back the text of a
 * line that the server would not take, when its author asks for it.
 */
export class Stay {
  #state = { is: 'connecting' };
  #connection;
  #room;
  #view;
  #clock;
  #unsaidSince = 0;
  #unread = 0;

  constructor({ room, me, onRefused, onEdit }) {
    this.room = room;
    this.#view = new Conversation({
      list: $('messages'),
      scroller: $('scroller'),
      empty: $('empty'),
      newer: $('newer'),
      onEdit,
    });
    this.#room = new Room({
      name: room,
      user: me.user,
      send: (frame) => this.#connection.send(frame),
      view: { show: (line) => this.#show(line), divide: (text) => this.#view.divide(text) },
      onChange: () => this.#tell(),
      onRefused: (message) => onRefused(`The server does not let you into “${room}”: ${message}.`),
    });
    this.#connection = new Connection({
      ...me,
      onState: (state) => this.#connectionIs(state),
      onFrame: (frame) => this.#room.take(frame),
    });
    // Countdowns run and typists fall silent without a frame that says so.
    this.#clock = setInterval(() => this.#tell(), TOLD_EVERY_MS);
    this.#connection.connect();
    this.#title();
  }

  /** How many messages are not sent yet. */
  get unsaid() {
    return this.#room.unsaid;
  }

  /** False when too many wait already. */
  say(text) {
    return this.#room.say(text);
  }

  type(on) {
    this.#room.type(on);
  }

  reconnect() {
    this.#connection.connect();
  }

  /** The network is back: no need to wait for the next try. */
  hurry() {
    if (this.#state.is === 'waiting') this.#connection.connect();
  }

  /** Someone looks at the page. */
  read() {
    this.#unread = 0;
    this.#title();
  }

  end() {
    clearInterval(this.#clock);
    this.#connection.stop();
    this.#room.lose();
    this.#view.end();
  }

  #connectionIs(state) {
    const wasOnline = this.#state.is === 'online';
    this.#state = state;
    if (state.is === 'online') wasOnline || this.#room.join();
    else if (wasOnline) this.#room.lose();
    this.#tell();
  }

  #show(line) {
    this.#view.show(line);
    if (document.hidden && !line.own) this.#unread += 1;
    this.#title();
  }

  #title() {
    document.title = `${this.#unread ? `(${this.#unread}) ` : ''}${this.room} · Chorus`;
  }

  #tell() {
    const { tone, text, tail } = this.#status();
    $('status').className = `status ${tone}`;
    put($('status-text'), text);
    put($('status-tail'), tail);
    $('reconnect').hidden = this.#state.is !== 'stopped';
    put($('typing'), typing(this.#room.typists));
  }

  /** A screen reader is told `text`; `tail` is for the eye alone, since it changes every second. */
  #status() {
    const { is, why, until, node, streams } = this.#state;
    const { joined, trouble, unsaid } = this.#room;
    const waiting = unsaid ? ` · ${unsaid === 1 ? '1 message waits' : `${unsaid} messages wait`}` : '';
    if (is === 'stopped') return { tone: 'bad', text: `disconnected: ${why}`, tail: waiting };
    if (is === 'waiting') return { tone: 'warn', text: `${why}, reconnecting`, tail: inSeconds(until) + waiting };
    if (is === 'connecting') return { tone: 'warn', text: 'connecting…', tail: waiting };
    if (trouble) {
      const what = trouble.code === 'rate_limited' ? 'too fast' : trouble.code;
      return { tone: 'warn', text: `${what}: will retry`, tail: inSeconds(trouble.until) + waiting };
    }
    if (!joined) return { tone: 'warn', text: 'joining…', tail: waiting };

    if (!unsaid) this.#unsaidSince = 0;
    else this.#unsaidSince ||= Date.now();
    const slow = unsaid && Date.now() - this.#unsaidSince > SENDING_SHOWN_AFTER_MS;
    return { tone: slow ? 'warn' : 'good', text: `connected to ${node}${streams ? ', without a WebSocket' : ''}`, tail: slow ? ' · sending…' : '' };
  }
}

/** Touches the document only when there is something new, so that nobody is told the same again. */
function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function inSeconds(until) {
  const seconds = Math.ceil((until - Date.now()) / 1000);
  return seconds > 1 ? ` in ${seconds} s` : '…';
}

function typing(names) {
  if (names.length === 0) return '';
  if (names.length > 2) return 'Several people are typing…';
  return names.length === 1 ? `${names[0]} is typing…` : `${names[0]} and ${names[1]} are typing…`;
}
