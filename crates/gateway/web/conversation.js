// The lines of a room on the screen. Whatever people wrote goes into the document as text only.

const KEPT_LINES = 1_000;
const HUES = 8;
const ONE_BREATH_MS = 5 * 60_000;
const NEAR_BOTTOM_PX = 48;

const STATES = { waiting: 'waiting…', sending: 'sending…' };

const clock = new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit' });
const day = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const inFull = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });

function element(tag, className, text = '') {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

/** A colour class for a user, the same on every screen. */
function hue(user) {
  let hash = 0;
  for (const char of user) hash = (hash * 31 + char.codePointAt(0)) >>> 0;
  return `hue-${hash % HUES}`;
}

function when(at) {
  const date = new Date(at);
  const time = element('time', 'time', clock.format(date));
  if (date.toDateString() !== new Date().toDateString()) time.textContent = `${day.format(date)}, ${time.textContent}`;
  time.dateTime = date.toISOString();
  time.title = inFull.format(date);
  return time;
}

/** This page says `{"text": "…"}`. What other clients say in other shapes is shown as what it is. */
function content({ data, deleted }) {
  if (deleted) return element('p', 'text deleted', 'deleted');
  if (typeof data?.text === 'string') return element('p', 'text', data.text);
  return element('pre', 'text data', JSON.stringify(data, null, 2));
}

export class Conversation {
  #list;
  #scroller;
  #empty;
  #newer;
  #onEdit;
  #items = new WeakMap();
  #lines = new WeakMap();
  #atBottom = true;
  #resizes;

  /** `onEdit(text)` gets the text of a line that the server would not take, when its author wants it back. */
  constructor({ list, scroller, empty, newer, onEdit }) {
    this.#list = list;
    this.#scroller = scroller;
    this.#empty = empty;
    this.#newer = newer;
    this.#onEdit = onEdit;
    list.replaceChildren();
    empty.hidden = false;
    newer.hidden = true;
    scroller.onscroll = () => this.#scrolled();
    newer.onclick = () => this.#toBottom();
    this.#resizes = new ResizeObserver(() => this.#atBottom && this.#toBottom());
    this.#resizes.observe(scroller);
  }

  end() {
    this.#resizes.disconnect();
  }

  /** Shows a line, or what has become of it. Lines that were said stand in the order of the log, the others below them. */
  show(line) {
    const isNew = !this.#items.has(line);
    const item = isNew ? this.#make(line) : this.#items.get(line);
    this.#update(item, line);
    const next = isNew || line.state === 'said' ? this.#successor(item, line) : item.nextElementSibling;
    if (isNew || item.nextElementSibling !== next) this.#list.insertBefore(item, next);
    this.#group(item);
    this.#group(item.nextElementSibling);
    this.#grown(isNew && line.own && line.state !== 'said');
  }

  /** A quiet note between what came before and what comes after; nothing where nothing was said yet. */
  divide(text) {
    if (!this.#list.hasChildNodes()) return;
    const item = element('li', 'divider');
    item.append(element('span', '', text));
    this.#list.insertBefore(item, this.#successor(item, { state: 'said' }));
    this.#group(item.nextElementSibling);
    this.#grown(false);
  }

  /** What a line stands before: the first that comes later in the log, or else the first that is not said yet. */
  #successor(item, line) {
    let next = null;
    if (line.state !== 'said') return next;
    for (let at = this.#list.lastElementChild; at; at = at.previousElementSibling) {
      if (at === item) continue;
      const other = this.#lines.get(at);
      const later = other && (other.state !== 'said' || (other.epoch === line.epoch && other.seq > line.seq));
      if (!later) break;
      next = at;
    }
    return next;
  }

  /** What never changes about a line. */
  #make(line) {
    const item = document.createElement('li');
    this.#items.set(line, item);
    this.#lines.set(item, line);
    item.dataset.testid = 'message';
    item.dataset.from = line.from;
    if (line.id) item.dataset.id = line.id;
    const author = line.own ? 'You' : line.name;
    const name = element('p', `name ${hue(line.from)}`, author);
    const bubble = element('div', 'bubble');
    const meta = element('p', 'meta');
    // Read with the line, but not by itself whenever it changes.
    meta.ariaLive = 'off';
    bubble.append(name, content(line), meta);
    item.append(bubble);
    if (!line.own) {
      name.title = line.from;
      const avatar = element('span', `avatar ${hue(line.from)}`, [...author][0].toUpperCase());
      avatar.ariaHidden = 'true';
      item.prepend(avatar);
    }
    return item;
  }

  /** What becomes of it. */
  #update(item, line) {
    item.className = `line ${line.own ? 'own' : 'other'} ${line.state}`;
    item.dataset.state = line.state;
    if (line.seq !== undefined) Object.assign(item.dataset, { seq: line.seq, epoch: line.epoch });
    const meta = item.querySelector('.meta');
    if (line.state === 'said') meta.replaceChildren(when(line.at));
    else if (line.state === 'failed') meta.replaceChildren(`not sent: ${line.why} `, this.#editButton(item, line));
    else meta.replaceChildren(STATES[line.state]);
  }

  #editButton(item, line) {
    const button = element('button', 'link', 'Edit');
    button.type = 'button';
    button.onclick = () => {
      item.remove();
      this.#onEdit(line.data.text);
    };
    return button;
  }

  /** Lines that one person says in one breath share one name and one picture. */
  #group(item) {
    const line = this.#lines.get(item);
    if (!line) return;
    const before = this.#lines.get(item.previousElementSibling);
    const together = before && before.from === line.from && line.at - before.at < ONE_BREATH_MS;
    item.classList.toggle('continued', Boolean(together));
  }

  /** Follows the talk only for a reader who stands at its end, or who has just spoken. */
  #grown(follow) {
    this.#empty.hidden = true;
    if (this.#atBottom || follow) {
      while (this.#list.childElementCount > KEPT_LINES) this.#list.firstElementChild.remove();
      this.#toBottom();
    } else this.#newer.hidden = false;
  }

  #toBottom() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#scrolled();
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    this.#atBottom = scrollHeight - scrollTop - clientHeight < NEAR_BOTTOM_PX;
    if (this.#atBottom) this.#newer.hidden = true;
  }
}
