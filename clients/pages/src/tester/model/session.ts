/** One connection after another, and the log of them all. It knows nothing of the page: that subscribes. */
import { explain, type Close } from "./closes.ts";
import { FrameLog, utf8Length, type Frame } from "./frames.ts";
import { Pings } from "./pings.ts";
import { Rate } from "./rate.ts";
import { Repeat, systemClock, type Clock, type Ending, type Plan } from "./repeat.ts";
import { fill, uuid } from "./requests.ts";
import { hide, hideInAddress } from "./secrets.ts";
import type { Target } from "./target.ts";
import { View } from "./view.ts";

export type Phase =
  | { readonly state: "idle" }
  | { readonly state: "connecting" | "closing"; readonly url: string }
  | { readonly state: "open"; readonly url: string; readonly protocol: string; readonly at: number }
  | { readonly state: "closed"; readonly url: string; readonly close: Close; readonly farewell: Farewell | undefined };

/** What a Chorus gateway says in a frame before it closes. */
export interface Farewell {
  readonly message?: string;
  readonly retryAfterMs?: number;
}

export interface Run {
  readonly repeat: Repeat;
  /** How many had come when it began. */
  readonly receivedBefore: number;
  readonly ending: Ending | undefined;
}

interface Parsed {
  readonly type?: unknown;
  readonly [key: string]: unknown;
}

/** How often subscribers hear of frames, in ms: a screen shows no more. */
const BEAT = 50;
/** What may wait in the browser while a run goes on, in bytes. */
const MOST_BUFFERED = 1024 * 1024;
/** What is larger is shown all the same, but nobody looks for its type. */
const MOST_PARSED = 1024 * 1024;
const MOST_TYPES = 50;

export class Session {
  readonly log = new FrameLog();
  readonly view = new View(this.log);
  readonly pings = new Pings();
  readonly sent = new Rate();
  readonly received = new Rate();
  /** The types of JSON objects that were seen, in the order of their first. */
  readonly types = new Set<string>();
  phase: Phase = { state: "idle" };
  /** The user and node that `welcome` named: the other side is a Chorus gateway that has authenticated us. */
  welcome: { readonly user: string; readonly node: string } | undefined;
  run: Run | undefined;
  /** Grows with each change: what a page compares. */
  version = 0;
  /** Fills `{{token}}`, and is hidden in the log. */
  token = "";
  /** Fills `{{room}}`. */
  room = "lobby";

  #socket: WebSocket | undefined;
  #position: { epoch: string; seq: number } | undefined;
  #farewell: Farewell | undefined;
  #n = 0;
  #listeners = new Set<() => void>();
  #beat: ReturnType<typeof setTimeout> | undefined;
  readonly #WebSocket: new (url: string, protocols?: string[]) => WebSocket;
  readonly #clock: Clock;

  constructor(constructor: new (url: string, protocols?: string[]) => WebSocket = WebSocket, clock: Clock = systemClock) {
    this.#WebSocket = constructor;
    this.#clock = clock;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Throws what the browser's constructor does. */
  open({ url, protocols, first }: Target): void {
    this.#leave();
    this.pings.clear();
    const socket = new this.#WebSocket(url, [...protocols]);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#farewell = undefined;
    this.#position = undefined;
    this.phase = { state: "connecting", url };
    this.#note(`Connecting to ${hideInAddress(url)}`);
    let opened = false;
    socket.onopen = () => {
      opened = true;
      this.phase = { state: "open", url, protocol: socket.protocol, at: Date.now() };
      this.#note(`Open${socket.protocol ? `, subprotocol ${socket.protocol}` : ", no subprotocol"}`, "good");
      if (first !== undefined) this.sendText(first);
      this.#now();
    };
    socket.onmessage = ({ data }) => this.#receive(data as string | ArrayBuffer);
    socket.onclose = ({ code, reason }) => this.#closed(url, { code, reason, opened });
    this.#now();
  }

  /** Asks the other side to close; the answer ends it. */
  close(): void {
    if (!this.#socket || this.phase.state === "closing" || !("url" in this.phase)) return;
    this.run?.repeat.stop();
    this.phase = { state: "closing", url: this.phase.url };
    this.#socket.close(1000);
    this.#now();
  }

  /** Sends a request after its placeholders were filled. Throws what is missing, or that there is no connection. */
  sendRequest(text: string): void {
    const n = this.#n + 1;
    this.sendText(this.#fill(text, n));
    this.#n = n;
  }

  sendText(text: string, ping = false): void {
    this.#ready().send(text);
    const { type } = parse(text);
    this.#sentOne({ opcode: "text", size: utf8Length(text), text: hide(text, this.token), ...typed(type), ...(ping ? { ping: true as const } : {}) });
  }

  sendBytes(bytes: Uint8Array<ArrayBuffer>): void {
    this.#ready().send(bytes);
    this.#sentOne({ opcode: "binary", size: bytes.length, text: "", bytes });
  }

  ping(): void {
    this.sendText(this.pings.next(Date.now(), this.#clock.now()), true);
  }

  /** Whether a ping now is answered, and does not end the connection: a Chorus gateway wants to know first who we are, except at its `/echo`. */
  get pingable(): boolean {
    if (this.phase.state !== "open") return false;
    return this.phase.protocol !== "chorus.v1" || this.welcome !== undefined || new URL(this.phase.url).pathname.endsWith("/echo");
  }

  /** Sends at a rate, with `{{n}}` from 1 on. Throws if the first could not be sent. */
  repeat(text: string, plan: Plan): void {
    this.#ready();
    this.#fill(text, 1);
    this.run?.repeat.stop();
    const send = (n: number): boolean => {
      if (this.#ready().bufferedAmount > MOST_BUFFERED) return false;
      this.sendText(this.#fill(text, n));
      return true;
    };
    const ended = (ending: Ending): void => {
      if (this.run?.repeat === repeat) this.run = { ...this.run, ending };
      this.#now();
    };
    const repeat = new Repeat(plan, send, ended, this.#clock);
    this.run = { repeat, receivedBefore: this.received.total, ending: undefined };
    this.#now();
  }

  clear(): void {
    this.log.clear();
    this.view.clear();
    this.types.clear();
    this.#now();
  }

  /** For what a page changes at the view itself. */
  refresh(): void {
    this.#now();
  }

  #fill(text: string, n: number): string {
    return fill(text, { n, token: this.token, room: this.room, position: this.#position, uuid, now: Date.now });
  }

  #ready(): WebSocket {
    if (!this.#socket || this.phase.state !== "open") throw new Error("there is no connection: connect first");
    return this.#socket;
  }

  #sentOne(frame: Omit<Frame, "n" | "at" | "direction">): void {
    this.sent.add(this.#clock.now());
    this.#add({ ...frame, at: Date.now(), direction: "out" });
  }

  #receive(data: string | ArrayBuffer): void {
    const now = this.#clock.now();
    this.received.add(now);
    const about = { at: Date.now(), direction: "in" } as const;
    if (typeof data !== "string") {
      const bytes = new Uint8Array(data);
      this.#add({ ...about, opcode: "binary", size: bytes.length, text: "", bytes });
      return;
    }
    const frame = parse(data);
    const ping = this.pings.answered(frame, now) ? { ping: true as const } : {};
    if (!ping.ping) this.#understand(frame);
    this.#add({ ...about, opcode: "text", size: utf8Length(data), text: hide(data, this.token), ...typed(frame.type), ...ping });
  }

  /** What this protocol's frames tell of the connection. */
  #understand(frame: Parsed): void {
    const { type, user, node, epoch, seq, message, retry_after_ms } = frame;
    if (type === "welcome" && typeof user === "string" && typeof node === "string") this.welcome = { user, node };
    if (type === "message" && typeof epoch === "string" && typeof seq === "number") this.#position = { epoch, seq };
    if (type === "closing") {
      this.#farewell = { ...(typeof message === "string" ? { message } : {}), ...(typeof retry_after_ms === "number" ? { retryAfterMs: retry_after_ms } : {}) };
    }
  }

  #closed(url: string, close: Close): void {
    const farewell = this.#farewell;
    const cancelled = !close.opened && this.phase.state === "closing";
    this.#leave();
    if (cancelled) {
      this.phase = { state: "idle" };
      this.#note("Cancelled");
      this.#now();
      return;
    }
    this.phase = { state: "closed", url, close, farewell };
    const said = close.reason ? ` ${close.reason}` : "";
    this.#note(`Closed: ${close.code}${said} (${explain(close).name})`, close.code === 1000 ? undefined : "bad");
    this.#now();
  }

  /** Forgets the socket, and whatever it may still say. */
  #leave(): void {
    this.run?.repeat.stop();
    this.pings.forget();
    this.welcome = undefined;
    const socket = this.#socket;
    this.#socket = undefined;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(1000);
  }

  #note(text: string, tone?: "good" | "bad"): void {
    this.#add({ at: Date.now(), direction: "note", opcode: "note", size: 0, text, ...(tone ? { tone } : {}) });
  }

  #add(frame: Omit<Frame, "n">): void {
    this.log.add(frame);
    if (frame.type !== undefined && this.types.size < MOST_TYPES) this.types.add(frame.type);
    this.#beat ??= setTimeout(() => this.#now(), BEAT);
  }

  #now(): void {
    clearTimeout(this.#beat);
    this.#beat = undefined;
    this.view.update();
    this.version += 1;
    for (const listener of this.#listeners) listener();
  }
}

/** The object that a text is, or an empty one. */
function parse(text: string): Parsed {
  if (text.length > MOST_PARSED || !/^\s*\{/.test(text)) return {};
  try {
    return JSON.parse(text) as Parsed;
  } catch {
    return {};
  }
}

const typed = (type: unknown): { type?: string } => (typeof type === "string" && type.length <= 64 ? { type } : {});
