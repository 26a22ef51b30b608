import { useRef, useState } from "react";
// Elsewhere `import useWebSocket from "react-use-websocket"`. Vite 8 gives the whole module for the default export of one that was
// made for `require` (robtaussig/react-use-websocket, pull request 282), and this name it gives as it is.
import { useWebSocket } from "react-use-websocket/dist/lib/use-websocket";

/** Close codes after which coming back would end the same way. 4401 is not among them: a new token helps. */
const FINAL = new Set([1000, 1002, 1003, 1007, 1008, 1009]);

/** A place in the room's log. */
interface Position {
  epoch: string;
  seq: number;
}

export interface Line {
  key: string;
  /** Unset while it is being sent. */
  seq?: number;
  from: string;
  text: string;
}

/** What the server says, as far as this program reads it; docs/PROTOCOL.md has it all. */
interface Frame extends Position {
  type: string;
  ref?: string;
  from: string;
  data?: { text?: string };
  deleted?: true;
  user: string;
  node: string;
  recovered: boolean;
  reason: string;
  code: string;
  message: string;
  retry_after_ms?: number;
  limits: { id_ttl_ms: number };
}

interface Message {
  id: string;
  text: string;
  /** When it was sent for the first time. */
  sentAt?: number;
}

/** Stays in a room: each message is shown once, and what is sent arrives once, whatever becomes of the connection. */
export function useRoom(url: string, room: string, getToken: () => Promise<string>) {
  const [lines, setLines] = useState<readonly Line[]>([]);
  const [waiting, setWaiting] = useState<readonly Message[]>([]);
  const [status, setStatus] = useState("Connecting");
  /** What outlives a connection and is not shown. For `idTtl` ms the server knows an `id` again. */
  const kept = useRef({
    position: undefined as Position | undefined,
    joined: false,
    attempt: 0,
    retryAfter: 0,
    idTtl: 0,
    queue: [] as Message[],
  });

  const { sendJsonMessage, getWebSocket } = useWebSocket(url, {
    protocols: "chorus.v1",
    onOpen: () => void authenticate(),
    // Not `lastJsonMessage`: of several frames that come between two renders it has only the last.
    onMessage: ({ data }) => receive(JSON.parse(data as string) as Frame),
    filter: () => false,
    onClose: ({ code, reason }) => {
      kept.current.joined = false;
      setStatus(FINAL.has(code) ? `Over: ${code} ${reason}` : `Connection lost (${code} ${reason}), reconnecting`);
    },
    shouldReconnect: ({ code }) => !FINAL.has(code),
    reconnectAttempts: Number.POSITIVE_INFINITY,
    // Full jitter: all clients of a lost server come back, but not all at once. Counted here, as the library begins anew with each
    // connection that opens, also when it does not last.
    reconnectInterval: () => {
      const { retryAfter, attempt } = kept.current;
      kept.current.retryAfter = 0;
      kept.current.attempt++;
      return retryAfter + Math.random() * Math.min(30_000, 500 * 2 ** attempt);
    },
    // A page sees no ping frames, and a dead connection says nothing.
    heartbeat: { message: '{"type":"ping"}', interval: 15_000, timeout: 40_000 },
  });

  /** Never by the library's own queue: it would be sent before the next connection is authenticated. */
  const say = (frame: object) => sendJsonMessage(frame, false);

  async function authenticate() {
    const socket = getWebSocket();
    try {
      const token = await getToken();
      if (socket === getWebSocket()) say({ type: "auth", token });
    } catch {
      // The server gives up on whoever does not say who it is, with a code that is final; this one comes back.
      socket?.close(4000, "no token");
    }
  }

  function receive(frame: Frame) {
    const now = kept.current;
    switch (frame.type) {
      case "welcome":
        setStatus(`Connected to ${frame.node} as ${frame.user}`);
        now.idTtl = frame.limits.id_ttl_ms;
        // `since` is left out by JSON as long as there is none; then the last 50 are what begins.
        return say({ type: "join", room, since: now.position, recent: 50, ref: "join" });
      case "expiring":
        return void authenticate();
      case "ok":
        return frame.ref === "join" ? entered(frame) : settle(frame.ref);
      case "error":
        return refused(frame);
      case "closing": // Told before a close frame, as that can't say when to come back.
        now.retryAfter = frame.retry_after_ms ?? 0;
        return;
      case "reset":
        // A server was lost, and what was seen after `seq` with it; or the whole log began again.
        if (frame.reason === "forked") setLines((lines) => lines.filter(({ seq = 0 }) => seq <= frame.seq));
        else if (frame.reason === "new") setLines([]);
        else note("Something is missing before this line");
        break;
      case "message":
        if (!frame.deleted) show(`${frame.epoch}/${frame.seq}`, frame.from, frame.data?.text ?? JSON.stringify(frame.data), frame.seq);
    }
    // Edits, reactions and types yet unknown move the position, too: whatever has a `seq` and is no answer.
    if (frame.epoch !== undefined && frame.seq !== undefined) now.position = { epoch: frame.epoch, seq: frame.seq };
  }

  function entered({ epoch, seq, recovered }: Frame) {
    const now = kept.current;
    if (now.position && !recovered) note("Away for too long: something is missing before this line");
    now.position = { epoch, seq };
    now.joined = true;
    now.attempt = 0;
    deliver();
  }

  /** One at a time, so that they stay in order. The same `id` again is the same message, however often it arrives. */
  function deliver() {
    const { queue, joined, idTtl } = kept.current;
    const message = queue[0];
    if (!message || !joined) return;
    message.sentAt ??= Date.now();
    if (Date.now() - message.sentAt > idTtl) {
      note(`Not known whether it was sent: ${message.text}`);
      return settle(message.id);
    }
    say({ type: "message", room, id: message.id, data: { text: message.text }, ref: message.id });
  }

  function settle(ref: string | undefined) {
    const { queue } = kept.current;
    if (ref !== queue[0]?.id) return;
    queue.shift();
    setWaiting([...queue]);
    deliver();
  }

  function refused({ ref, code, message, retry_after_ms: wait }: Frame) {
    // A join also waits for a place in a full room. A mute says how long, too, but that may be years.
    const passes = code === "unavailable" || code === "rate_limited" || (ref === "join" && wait !== undefined);
    if (ref === "join" && passes) {
      kept.current.retryAfter = wait ?? 1000;
      getWebSocket()?.close(4000);
    } else if (ref !== undefined && ref === kept.current.queue[0]?.id) {
      if (passes) return void setTimeout(deliver, wait ?? 1000);
      note(`Not sent, ${code}: ${message}`);
      settle(ref);
    } else {
      setStatus(`${code}: ${message}`);
    }
  }

  const show = (key: string, from: string, text: string, seq?: number) =>
    setLines((lines) => [...lines, { key, from, text, ...(seq !== undefined && { seq }) }]);
  const note = (text: string) => show(crypto.randomUUID(), "*", text);

  const send = (text: string) => {
    const { queue } = kept.current;
    queue.push({ id: crypto.randomUUID(), text });
    setWaiting([...queue]);
    if (queue.length === 1) deliver();
  };

  return { lines, waiting, status, send };
}
