/**
 * A link for where no WebSocket comes through: an event stream that carries all rooms, and posts beside it. `fetch` and not
 * `EventSource`: that can't send a token but in the URL, and hides why it was refused, and that the server still gives a sign of life.
 */
import type { Position } from "./types.ts";
import { upgrade, type Better } from "./upgrade.ts";
import type { Frame, Link, LinkEvents, Request } from "./wire.ts";

const REQUEST_MS = 10_000;
/** Rooms are often joined together: one stream for them all. */
const GATHER_MS = 20;
/** What the server carries by one stream. */
const ROOMS = 8;
/** Another room can be had when one is left, or when a WebSocket comes up. */
const FULL_MS = 30_000;
/** What was answered by something else in its place, or for nobody now. */
const AWAY = ["unavailable", "rate_limited", "bad_request"];
/** What says nothing of a room. Not shared with `codes.ts`: this is loaded apart, and would take it along. */
const PASSING = ["unavailable", "rate_limited", "internal"];

export function streamLink(base: URL, token: string | undefined, call: typeof fetch, on: LinkEvents, better: Better | false): Link {
  /** What the stream carries: each join has its `ref` until it was answered; `at` is where it stands, as `Last-Event-ID` says it. */
  const rooms = new Map<string, { readonly join: Request; ref: number | undefined; at: string | undefined }>();
  let stream: AbortController | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let ended = false;
  const way = better && upgrade(better, () => token, on);

  const tell = (frame: Frame) => ended || on.onFrame(frame);
  const end = (code: number, reason: string) => {
    if (ended) return;
    close();
    on.onClose(code, reason);
  };
  const close = () => {
    ended = true;
    clearTimeout(timer);
    stream?.abort();
    if (way) way.end();
  };

  const request = async (path: string, options: RequestInit, control: AbortController) => {
    const wait = setTimeout(() => control.abort(), REQUEST_MS);
    const authorization: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {};
    try {
      const url = new URL(path, base);
      url.protocol = url.protocol.replace("ws", "http");
      return await call(url, {
        ...options,
        headers: { ...options.headers, ...authorization },
        cache: "no-store",
        credentials: token ? "same-origin" : "include",
        signal: control.signal,
      });
    } finally {
      clearTimeout(wait);
    }
  };

  /** Says in the protocol's words what HTTP said: gives an `error`, or ends the link and gives nothing. */
  const problem = ({ status }: Response, text: string): Frame | undefined => {
    let told: { code?: string; detail?: string; retry_after_ms?: number } = {};
    try {
      told = JSON.parse(text) as typeof told;
    } catch {
      // What stands between has answered, in its own words.
    }
    const { code = status < 500 ? "bad_request" : "unavailable", detail, retry_after_ms } = told;
    if (status === 401) return void end(code === "token_expired" ? 4401 : 1008, code);
    return { type: "error", code, ...(detail && { message: detail }), ...(retry_after_ms && { retry_after_ms }) };
  };

  const post = async (frame: Request): Promise<Frame | undefined> => {
    const options = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(frame) };
    try {
      const response = await request("v1/frames", options, new AbortController());
      const text = await response.text();
      return response.ok ? (JSON.parse(text) as Frame) : problem(response, text);
    } catch {
      // It may have been appended: asked again with the same id, it is not appended twice.
      return { type: "error", code: "unavailable", message: "no answer" };
    }
  };

  /** A stream can't change: another takes its place, where this one stands. */
  const restart = () => {
    clearTimeout(timer);
    timer = setTimeout(run, GATHER_MS);
  };

  const run = async (): Promise<void> => {
    stream?.abort();
    const mine = (stream = new AbortController());
    if (!rooms.size) return;
    const query = new URLSearchParams([...rooms.keys()].map((room) => ["room", room]));
    const recent = Math.max(...[...rooms.values()].map(({ join }) => join.recent ?? 0));
    if (recent) query.set("recent", `${recent}`);
    const headers: Record<string, string> = { accept: "text/event-stream" };
    const places = [...rooms.values()].flatMap(({ at }) => at ?? []);
    if (places.length) headers["last-event-id"] = places.join();
    let closing: Frame | undefined;
    try {
      const response = await request(`v1/events?${query}`, { headers }, mine);
      if (!response.ok) return await refused(problem(response, await response.text()), mine);
      for await (const frame of frames(response.body!)) {
        if (mine !== stream) return;
        if (frame.type === "closing") closing = frame;
        take(frame);
      }
    } catch {
      // However it was lost, it has ended.
    }
    if (mine === stream) end((closing?.code as number | undefined) ?? 1006, closing?.reason ?? "");
  };

  const take = (frame: Frame) => {
    const { type, room, epoch, seq } = frame;
    // The server calls `@me` by its name.
    const carried = rooms.get(room!) ?? (room?.startsWith("@") ? rooms.get("@me") : undefined);
    if (!carried || seq === undefined) return tell(frame);
    carried.at = at(room!, { epoch: epoch!, seq });
    const { ref } = carried;
    if (type !== "ok" || ref === undefined) return tell(frame);
    carried.ref = undefined;
    tell({ ...frame, ref });
  };

  /** One room that is full, or may not be read, spoils the stream for all: it is left out. */
  const refused = async (error: Frame | undefined, mine: AbortController): Promise<void> => {
    if (!error) return;
    let left = 0;
    if (error.code === "too_large") {
      // Which one is full, it does not say, and a history can be had without a place: the newest is the first to wait.
      const newest = [...rooms].reverse().find(([, { ref }]) => ref !== undefined);
      if (newest) {
        left++;
        rooms.delete(newest[0]);
        tell({ ...error, ref: newest[1].ref! });
      }
    } else if (!PASSING.includes(error.code as string)) {
      // Each is asked by itself.
      for (const [room, { ref }] of [...rooms]) {
        const answer = await post({ type: "history", room, limit: 1 });
        if (mine !== stream) return;
        // Without a message it is what something in between has said, in its own words.
        if (answer?.type !== "error" || PASSING.includes(answer.code as string) || !answer.message) continue;
        left++;
        rooms.delete(room);
        tell({ ...answer, ...(ref === undefined ? { room } : { ref }) });
      }
    }
    if (left) return run();
    giveUp(error);
  };

  const giveUp = (error: Frame) => {
    tell({ ...error, type: "closing", code: 1013, reason: String(error.code) });
    end(1013, String(error.code));
  };

  /** That a WebSocket did not come up says nothing of WebSockets while the server is away: only where it answers, and none comes up then, is there a stream. */
  const begin = async () => {
    if (way) {
      const answer = await post({ type: "ping" });
      if (!answer || ended) return;
      if (AWAY.includes(answer.code as string)) return answer.retry_after_ms ? giveUp(answer) : end(1006, "");
      tell({ type: "pong" });
      await way.begin();
    }
    // There is nothing to open before a room is asked for. The server's own `welcome` comes with that.
    tell({ type: "welcome" });
  };
  timer = setTimeout(begin);

  return {
    send(frame) {
      const { type, room, ref, since } = frame;
      if (type === "auth") {
        token = frame.token;
        restart();
        tell({ type: "ok", ref: ref! });
      } else if (type === "join") {
        if (rooms.size >= ROOMS && !rooms.has(room!)) {
          const message = `an event stream carries ${ROOMS} rooms`;
          setTimeout(() => tell({ type: "error", ref: ref!, code: "too_large", message, retry_after_ms: FULL_MS }));
          if (way) way.need();
          return;
        }
        rooms.set(room!, { join: frame, ref, at: since && at(room!, since) });
        restart();
      } else if (type === "leave") {
        if (rooms.delete(room!)) restart();
        tell({ type: "ok", ref: ref! });
      } else if (type === "ping") {
        // Nothing can be asked of a stream; but another one answers.
        restart();
      } else {
        void post(frame).then((answer) => answer && ref !== undefined && tell({ ...answer, ref }));
      }
    },
    close,
  };
}

function at(room: string, { epoch, seq }: Position): string {
  return `${room}~${epoch}~${seq}`;
}

/** The frames of an event stream. A comment is as good as a `pong`. */
async function* frames(body: ReadableStream<Uint8Array>): AsyncGenerator<Frame> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  let data: string[] = [];
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      if (line.startsWith(":")) yield { type: "pong" };
      else if (line.startsWith("data:")) data.push(line.slice(5));
      else if (!line && data.length) yield JSON.parse(data.splice(0).join("\n")) as Frame;
    }
  }
}
