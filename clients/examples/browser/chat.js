// A chat on the browser's own WebSocket: what is typed goes to the room, what is said there is shown, and nothing is lost
// or doubled when the network, a server or this client's patience fails.

/** Close codes after which coming back would end the same way. 4401 (expired) is among them, as the token stays what it is. */
const FINAL = new Set([1000, 1002, 1003, 1007, 1008, 1009, 4401]);

/** Stays in the room `room` of the server at `url`. `show(from, text)` gets each message once, `tell(text)` how things stand. */
export function enter({ url, room, token, show, tell }) {
  let socket;
  let attempt = 0;
  let retry; // The timer of the next attempt.
  let again; // That of a message that was refused for now; after a lost connection the next one delivers it.
  let retryAfter = 0; // What the server asked for, in ms.
  let joined = false;
  let position; // {epoch, seq} of the last event that was seen: a new connection goes on from there.
  let idTtl = Infinity; // For how many ms the server knows an `id` again.
  let over = false;
  const queue = []; // What is not in the log yet. The first is under way, the others wait: so they stay in order.

  function connect() {
    clearTimeout(retry);
    let ping;
    let silence;
    const mine = (socket = new WebSocket(url, "chorus.v1"));
    // A dead connection says nothing, and a page sees no ping frames: it asks by itself. Closing can take minutes then.
    const alive = (patience) => {
      clearTimeout(silence);
      silence = setTimeout(() => (mine.close(), ended({ code: 1006, reason: "no answer" })), patience);
    };
    let patience = 15_000;
    alive(patience);

    socket.onopen = () => say({ type: "auth", token });
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data);
      if (frame.type === "welcome") {
        patience = 2.5 * frame.heartbeat_ms; // The timers of a page in the background are slow.
        ping = setInterval(() => say({ type: "ping" }), frame.heartbeat_ms);
      }
      alive(patience);
      receive(frame);
    };
    socket.onclose = ended;

    function ended({ code, reason }) {
      mine.onmessage = mine.onclose = null;
      clearTimeout(silence);
      clearTimeout(again);
      clearInterval(ping);
      joined = false;
      if (over) return;
      if (FINAL.has(code)) return giveUp(`${code} ${reason}`);
      // Full jitter: all clients of a lost server come back, but not all at once. Never before the server said.
      const delay = retryAfter + Math.random() * Math.min(30_000, 500 * 2 ** attempt++);
      retryAfter = 0;
      tell(`Connection lost (${code} ${reason}). Reconnecting in ${(delay / 1000).toFixed(1)} s`);
      retry = setTimeout(connect, delay);
    }
  }

  function receive(frame) {
    switch (frame.type) {
      case "welcome":
        idTtl = frame.limits.id_ttl_ms;
        tell(`Connected to ${frame.node} as ${frame.user}`);
        // `since` is left out by JSON as long as there is none; then the last 50 are what begins.
        return say({ type: "join", room, since: position, recent: 50, ref: "join" });
      case "ok":
        return frame.ref === "join" ? entered(frame) : settle(frame.ref);
      case "error":
        return refused(frame);
      case "closing": // Told before a close frame, as that can't say when to come back.
        retryAfter = frame.retry_after_ms ?? 0;
        return;
      case "reset":
        show("*", `The log goes on elsewhere (${frame.reason}): something before this line may be missing`);
        break;
      case "message":
        if (!frame.deleted) show(frame.from, frame.data?.text ?? JSON.stringify(frame.data));
    }
    // Edits, reactions and types yet unknown move the position, too: whatever has a `seq` and is no answer.
    if (frame.epoch !== undefined && frame.seq !== undefined) position = { epoch: frame.epoch, seq: frame.seq };
  }

  function entered({ epoch, seq, recovered }) {
    if (position && !recovered) show("*", "Away for too long: something before this line may be missing");
    position = { epoch, seq };
    joined = true;
    attempt = 0;
    deliver();
  }

  /** Sends the first that is not acknowledged: the same `id` again is the same message, however often it arrives. */
  function deliver() {
    const message = queue[0];
    if (!message || !joined) return;
    message.first ??= Date.now();
    if (Date.now() - message.first > idTtl) return settle(message.id, "not known whether it was sent");
    say({ type: "message", room, id: message.id, data: { text: message.text }, ref: message.id });
  }

  function refused({ ref, code, message, retry_after_ms: wait }) {
    const passing = code === "unavailable" || code === "rate_limited" || (ref === "join" && wait);
    if (ref === queue[0]?.id && passing) again = setTimeout(deliver, wait ?? 1000);
    else if (ref === queue[0]?.id) settle(ref, `not sent, ${code}: ${message}`);
    else if (ref === "join" && passing) {
      retryAfter = wait ?? 0;
      socket.close(3000);
    } else giveUp(`${code}: ${message}`); // The room is not for this user, or no more.
  }

  function settle(id, trouble) {
    if (id !== queue[0]?.id) return;
    const { text } = queue.shift();
    if (trouble) show("*", `${trouble}: ${text}`);
    deliver();
  }

  function giveUp(why) {
    over = true;
    socket.close(1000);
    tell(`Over: ${why}`);
  }

  function say(frame) {
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(frame));
  }

  // Whoever has a network again need not wait for a timer that was set without one.
  addEventListener("online", () => {
    if (!over && socket.readyState === WebSocket.CLOSED) connect();
  });
  connect();
  return {
    send(text) {
      queue.push({ id: crypto.randomUUID(), text });
      if (queue.length === 1) deliver();
    },
  };
}
