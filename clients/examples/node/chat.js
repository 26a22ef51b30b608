// A chat in a terminal, on Node's `ws`: a line typed goes to the room, what is said there is printed, and nothing is lost
// or doubled when the network, a server or this client's patience fails.
//
//     CHORUS_TOKEN=… node chat.js [room] [url]

import { randomUUID } from "node:crypto";
import { createInterface } from "node:readline";
import WebSocket from "ws";

const [room = "lobby", url = "ws://127.0.0.1:8080/ws"] = process.argv.slice(2);
const token = process.env.CHORUS_TOKEN;
if (!token) giveUp("set CHORUS_TOKEN; README.md says where a token comes from");

/** Close codes after which coming back would end the same way. 4401 (expired) is among them, as the token stays what it is. */
const FINAL = new Set([1000, 1002, 1003, 1007, 1008, 1009, 4401]);

let socket;
let attempt = 0;
let retry; // The timer of the next attempt.
let again; // That of a message that was refused for now; after a lost connection the next one delivers it.
let retryAfter = 0; // What the server asked for, in ms.
let heartbeat = 6_000; // In ms, until the server tells its own.
let joined = false;
let position; // {epoch, seq} of the last event that was seen: a new connection goes on from there.
let idTtl = Infinity; // For how many ms the server knows an `id` again.
let sending; // The one message that is under way: {id, text, first, done}.
let finished = false;

function connect() {
  let reason = "";
  let silence;
  socket = new WebSocket(url, "chorus.v1", { handshakeTimeout: 10_000 });

  // The server pings. When two of its pings are missing, nobody is there any more, whatever TCP believes.
  const alive = () => {
    clearTimeout(silence);
    silence = setTimeout(() => socket.terminate(), 2.5 * heartbeat);
  };

  socket.on("open", () => {
    alive();
    say({ type: "auth", token });
  });
  socket.on("ping", alive);
  socket.on("message", (text) => {
    receive(JSON.parse(text));
    alive(); // Afterwards: from `welcome` on, the server's own heartbeat counts.
  });
  socket.on("error", (error) => (reason = error.message));
  socket.on("close", (code, text) => {
    clearTimeout(silence);
    clearTimeout(again);
    joined = false;
    if (finished) return;
    reason ||= `${code} ${text}`.trim();
    if (FINAL.has(code)) giveUp(reason);
    // Full jitter: all clients of a lost server come back, but not all at once. Never before the server said.
    const delay = retryAfter + Math.random() * Math.min(30_000, 500 * 2 ** attempt++);
    retryAfter = 0;
    note(`${reason}; reconnecting in ${(delay / 1000).toFixed(1)} s`);
    retry = setTimeout(connect, delay);
  });
}

function receive(frame) {
  switch (frame.type) {
    case "welcome":
      heartbeat = frame.heartbeat_ms;
      idTtl = frame.limits.id_ttl_ms;
      note(`connected to ${frame.node} as ${frame.user}`);
      // `since` is left out by JSON as long as there is none; then the last 50 are what begins.
      return say({ type: "join", room, since: position, recent: 50, ref: "join" });
    case "ok":
      return frame.ref === "join" ? entered(frame) : settle(frame.ref);
    case "error":
      return refused(frame);
    case "closing":
      retryAfter = frame.retry_after_ms ?? 0;
      return frame.message && note(frame.message);
    case "reset":
      note(`the log goes on elsewhere (${frame.reason}): something before this line may be missing`);
      break;
    case "message":
      if (!frame.deleted) console.log(printable(`${frame.from}: ${frame.data?.text ?? JSON.stringify(frame.data)}`));
  }
  // Edits, reactions and types yet unknown move the position, too: whatever has a `seq` and is no answer.
  if (frame.epoch !== undefined && frame.seq !== undefined) position = { epoch: frame.epoch, seq: frame.seq };
}

function entered({ epoch, seq, recovered }) {
  if (position && !recovered) note("away for too long: something before this line may be missing");
  position = { epoch, seq };
  joined = true;
  attempt = 0;
  deliver();
}

/** Resolves when the message is in the log. One at a time keeps them in order, and within the server's limits. */
function send(text) {
  return new Promise((done) => {
    sending = { id: randomUUID(), text, first: undefined, done };
    deliver();
  });
}

/** Sends what is not acknowledged: the same `id` again is the same message, however often it arrives. */
function deliver() {
  if (!sending || !joined) return;
  sending.first ??= Date.now();
  if (Date.now() - sending.first > idTtl) return settle(sending.id, "not known whether it was sent");
  say({ type: "message", room, id: sending.id, data: { text: sending.text }, ref: sending.id });
}

function refused({ ref, code, message, retry_after_ms: wait }) {
  const passing = code === "unavailable" || code === "rate_limited" || (ref === "join" && wait);
  if (ref === sending?.id && passing) again = setTimeout(deliver, wait ?? 1000);
  else if (ref === sending?.id) settle(ref, `not sent, ${code}: ${message}`);
  else if (ref === "join" && passing) {
    retryAfter = wait ?? 0;
    socket.close();
  } else giveUp(`${code}: ${message}`); // The room is not for this user, or no more.
}

function settle(id, trouble) {
  if (id !== sending?.id) return;
  if (trouble) note(`${trouble}: ${sending.text}`);
  const { done } = sending;
  sending = undefined;
  done();
}

function say(frame) {
  socket.send(JSON.stringify(frame));
}

function note(text) {
  console.error(`* ${printable(text)}`);
}

function giveUp(why) {
  note(why);
  process.exit(1);
}

/** What others wrote must not steer a terminal. */
function printable(text) {
  return text.replace(/\p{Cc}/gu, "\u{fffd}");
}

connect();
for await (const line of createInterface({ input: process.stdin })) if (line) await send(line);
finished = true;
clearTimeout(retry);
socket.close(1000);
