// The page: a form to come in by, and what the keys and buttons do. What happens inside a room begins in stay.js.

import { Stay } from './stay.js';

const ROOM = /^[A-Za-z0-9_.:#-]{1,128}$/;
const ME = 'chorus.me';

const $ = (id) => document.getElementById(id);

/** The room and the name are all there is to share or to keep: the room stands in the address, the name lives as long as the tab. */
const address = {
  get room() {
    return new URLSearchParams(location.hash.slice(1)).get('room') ?? '';
  },
  set room(name) {
    history.replaceState(null, '', name ? this.of(name) : location.pathname);
  },
  of: (name) => `#${new URLSearchParams({ room: name })}`,
};

/** A user id made from a display name: readable, within the protocol's alphabet, and with an ending that tells two Annas apart. */
function userId(name) {
  const plain = name.normalize('NFKD').replace(/[\u0300-\u036f]/g, '').toLowerCase();
  const base = plain.replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '') || 'guest';
  const ending = Array.from(crypto.getRandomValues(new Uint8Array(4)), (byte) => (byte % 36).toString(36)).join('');
  return `${base}-${ending}`;
}

/** Who the tab is. The same name stays the same user, so that a reload finds its own lines. */
function identity(name) {
  const known = rememberedIdentity();
  if (known?.name === name) return known;
  const me = { name, user: userId(name) };
  sessionStorage.setItem(ME, JSON.stringify(me));
  return me;
}

function rememberedIdentity() {
  return JSON.parse(sessionStorage.getItem(ME));
}

/** What goes on in the room, while the form is not shown. */
let stay = null;

/** Puts the text of a refused line back where it can be changed. */
function takeBack(text) {
  const composer = $('composer');
  composer.value = composer.value ? `${text}\n${composer.value}` : text;
  composer.focus();
}

function enter(room, name) {
  const me = identity(name);
  address.room = room;
  $('room-title').textContent = room;
  $('my-name').textContent = name;
  $('second-tab').href = $('second-tab-hint').href = address.of(room);
  $('start').hidden = true;
  $('chat').hidden = false;
  stay = new Stay({ room, me, onRefused: leave, onEdit: takeBack });
  $('composer').focus();
}

function leave(error = '') {
  stay?.end();
  stay = null;
  address.room = '';
  showStart(error);
}

function showStart(error = '', field = 'name') {
  document.title = 'Chorus';
  $('start-error').textContent = error;
  $('start-error').hidden = !error;
  $('chat').hidden = true;
  $('start').hidden = false;
  $(field).focus();
}

function sayIt() {
  const composer = $('composer');
  const text = composer.value.trim();
  if (!text) return;
  const taken = stay.say(text);
  if (taken) composer.value = '';
  composer.setCustomValidity(taken ? '' : 'Too many messages wait to be sent already.');
  composer.reportValidity();
}

$('join').addEventListener('submit', (event) => {
  event.preventDefault();
  const name = $('name').value.trim().replace(/\s+/g, ' ');
  const room = $('room').value.trim().replace(/\s+/g, '-');
  if (!name) return showStart('Please pick a name.');
  if (!ROOM.test(room)) return showStart('Please name the room with these characters only.', 'room');
  enter(room, name);
});

$('compose').addEventListener('submit', (event) => {
  event.preventDefault();
  sayIt();
  $('composer').focus();
});

$('composer').addEventListener('keydown', (event) => {
  // While a word is being composed (Japanese, Chinese, …), Enter belongs to the input method.
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  sayIt();
});

$('composer').addEventListener('input', (event) => {
  event.target.setCustomValidity('');
  stay?.type(event.target.value.trim() !== '');
});

$('leave').addEventListener('click', () => {
  if (!stay.unsaid || confirm('Some messages are not sent yet. Leave all the same?')) leave();
});

$('reconnect').addEventListener('click', () => stay.reconnect());
addEventListener('online', () => stay?.hurry());
document.addEventListener('visibilitychange', () => document.hidden || stay?.read());
// Whoever edits the address goes to another room.
addEventListener('hashchange', () => address.room !== (stay?.room ?? '') && location.reload());
addEventListener('beforeunload', (event) => stay?.unsaid && event.preventDefault());

const known = rememberedIdentity();
$('name').value = known?.name ?? '';
$('room').value = address.room || 'lobby';
if (known && ROOM.test(address.room)) enter(address.room, known.name);
else showStart();
