/** What the client is made of, for whoever uses it: names, units and promises. `PROTOCOL.md` says what goes over the wire. */

import type { ChorusError } from "./errors.ts";

export type { ChorusError };

/** A place in a room's log. Order by `seq`, only within one `epoch`. */
export interface Position {
  readonly epoch: string;
  readonly seq: number;
}

/** Anything that JSON can say. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** A value that changes, and that tells so. Made for `useSyncExternalStore`: `value` is the same object until it changes. */
export interface Observable<T> {
  readonly value: T;
  /** Calls `listener` at each change; returns what ends it. */
  subscribe(listener: (value: T) => void): () => void;
}

/** How the connection stands. */
export type Status =
  /** Nothing was wanted yet, or nothing is wanted any more. */
  | { readonly state: "idle" }
  /** A connection is being made. */
  | { readonly state: "connecting"; readonly attempt: number }
  | { readonly state: "connected"; readonly transport: "websocket" | "sse"; readonly user: string; readonly node: string; readonly session: string }
  /** The next attempt is at `retryAt` (ms since 1970). */
  | { readonly state: "waiting"; readonly attempt: number; readonly retryAt: number; readonly reason: string }
  /** The browser says that there is no network: nothing is tried until it says otherwise. */
  | { readonly state: "offline" }
  /** The end: the server said not to come back, or the application closed. `error` is unset when it was the application. */
  | { readonly state: "closed"; readonly error?: ChorusError };

/** Why `getToken` is asked: `first`, before expiry (`renew`), or after the server said 4401 (`expired`). */
export type TokenReason = "first" | "renew" | "expired";

export interface Options {
  /** A token that is good for as long as the client lives. With neither this nor `getToken`, the browser's cookie has to do. */
  readonly token?: string | undefined;
  /** Asked for a token when one is needed. A rejection is retried with backoff, except with an error that has `fatal: true`. */
  readonly getToken?: ((reason: TokenReason) => string | Promise<string>) | undefined;
  /** Which ways are tried, in this order. Default: both. Without WebSocket constructor, or where none comes up though the server answers, the next; a WebSocket is tried again beside it. */
  readonly transports?: readonly ("websocket" | "sse")[] | undefined;
  /** What may wait to be sent, in all rooms together. Default 1,000 messages and 1 MiB; `send` beyond rejects with `queue_full`. */
  readonly queue?: { readonly messages?: number; readonly bytes?: number } | undefined;
  /** Backoff in ms: a random time below `min(cap, base * 2^attempt)`, or what the server asks for when that is longer. Default 250 and 30,000. */
  readonly backoff?: { readonly base?: number; readonly cap?: number } | undefined;
  /** How long a request other than `send` waits for its answer, in ms. Default 10,000. */
  readonly timeout?: number | undefined;
  /** A WebSocket constructor for an environment that has none (Node 20: `ws`). */
  readonly WebSocket?: WebSocketConstructor | undefined;
  /** Of event streams and of what is posted beside them. Default: the global one. */
  readonly fetch?: typeof fetch | undefined;
}

/** The part of the standard's WebSocket that is used: a browser's, that of `ws`, or a test's. */
export interface SocketLike {
  readonly readyState: number;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}
export type WebSocketConstructor = new (url: string, protocols?: string | string[]) => SocketLike;

/** One connection, however many rooms. */
export interface Chat {
  readonly status: Observable<Status>;
  /** The user whom the token names, once the server has said so. */
  readonly user: string | undefined;
  /** Joins a room, or gives the one that was joined already; joining again after `leave` begins anew. Never throws; see `room.status`. */
  join(room: string, options?: JoinOptions): Room;
  /** The room, if it is joined. */
  room(name: string): Room | undefined;
  /** Tries at once, whatever the backoff, also before a room is joined; a connection that is there is asked for a sign of life. Does nothing after `closed`. */
  reconnect(): void;
  /** Ends everything; what was not sent rejects with `closed`. */
  close(): void;
  /** `error`s that belong to no request, and `closing`. */
  on<E extends keyof ChatEvents>(event: E, listener: (value: ChatEvents[E]) => void): () => void;
}

export interface ChatEvents {
  error: ChorusError;
  /** The server is about to close: `message` is what a moderator said. */
  closing: { readonly code: number; readonly reason: string; readonly retryAfterMs?: number; readonly message?: string };
  /** Each frame, both ways, for whoever draws or logs. */
  frame: { readonly out: boolean; readonly text: string };
}

export interface JoinOptions {
  /** Go on from here: a position that was kept from an earlier page or process. */
  readonly since?: Position | undefined;
  /** Begin with the last so many messages, also when `since` does not hold any more. */
  readonly recent?: number | undefined;
}

export type RoomStatus =
  /** With an `error`: why it was not let in for now; that is asked again, and `error.retryAfterMs` is when. */
  | { readonly state: "joining"; readonly error?: ChorusError }
  /** It follows live. `caughtUp` is the number of events that the last join replayed. */
  | { readonly state: "joined"; readonly caughtUp: number; readonly recovered: boolean }
  /** The connection is away, or the replay is not over yet; with an `error` as above. */
  | { readonly state: "recovering"; readonly error?: ChorusError }
  | { readonly state: "left"; readonly error?: ChorusError };

/** A logged event, as the server sends it. */
export type RoomEvent = MessageEvent | EditEvent | DeleteEvent | ReactionEvent;

interface Logged extends Position {
  readonly room: string;
  /** ms since 1970; for show, not for order. */
  readonly at: number;
  readonly from: string;
  readonly name?: string;
  readonly id?: string;
}
export interface MessageEvent extends Logged { readonly type: "message"; readonly data?: Json; readonly deleted?: true }
export interface EditEvent extends Logged { readonly type: "edit"; readonly target: Position; readonly data?: Json; readonly deleted?: true }
export interface DeleteEvent extends Logged { readonly type: "delete"; readonly target: Position }
export interface ReactionEvent extends Logged { readonly type: "reaction"; readonly target: Position; readonly key: string; readonly on: boolean }

/** The client now stands elsewhere in the log: what it holds may have a gap (`trimmed`), end in a branch that is gone (`forked`: drop what is after `seq`), or be of another log (`new`: drop all). `unrecovered`: a join could not go on from where it was; what was held is of before the gap. */
export interface Reset extends Position {
  readonly type: "reset";
  readonly room: string;
  readonly reason: "trimmed" | "forked" | "new" | "unrecovered";
}

export interface Member { readonly user: string; readonly name?: string; readonly info?: Json }
export interface Presence {
  readonly count: number;
  /** Unset above the presence size of the room: there is only the number. */
  readonly members?: readonly Member[];
}
export interface Marker extends Position { readonly user: string }

export interface RoomEvents {
  /** Every logged event once, in order. */
  event: RoomEvent;
  message: MessageEvent;
  edit: EditEvent;
  delete: DeleteEvent;
  reaction: ReactionEvent;
  reset: Reset;
  /** The membership ended by the server's word. */
  error: ChorusError;
}

/** What was appended. */
export interface Sent extends Position {
  readonly id: string;
  /** It had been appended before, by an earlier attempt. */
  readonly duplicate: boolean;
}

export interface SendOptions {
  /** 1 to 64 bytes; made by the client otherwise. The same id again is the same message, for `id_ttl_ms`. */
  readonly id?: string | undefined;
  /** Gives up: what was not written yet is not sent; what was rejects with `unknown`. */
  readonly signal?: AbortSignal | undefined;
}

export interface Page {
  /** Ascending, each event as it was appended. */
  readonly events: readonly RoomEvent[];
  /** Whether there is a sequel in the direction that was asked for. */
  readonly more: boolean;
}

/** A room. Iterating it gives events and resets from now on, in order, each once; a slow reader keeps at most 10,000 and then throws `overflow`. */
export interface Room extends AsyncIterable<RoomEvent | Reset> {
  readonly name: string;
  readonly status: Observable<RoomStatus>;
  /** Where it stands; keep it to go on from there in another process. */
  readonly position: Position | undefined;
  readonly presence: Observable<Presence>;
  /** Who types, without oneself. */
  readonly typing: Observable<readonly string[]>;
  /** How far everybody has read. */
  readonly markers: Observable<readonly Marker[]>;
  on<E extends keyof RoomEvents>(event: E, listener: (value: RoomEvents[E]) => void): () => void;
  /** Resolves with the position. Tried again with the same id over reconnects; rejects with `unknown` when it may or may not have been appended and can't be asked any more. */
  send(data: Json, options?: SendOptions): Promise<Sent>;
  edit(target: Position, data: Json, options?: SendOptions): Promise<Sent>;
  delete(target: Position, options?: SendOptions): Promise<Sent>;
  react(target: Position, key: string, on?: boolean, options?: SendOptions): Promise<Sent>;
  /** Moves this user's marker; calls in quick succession become one frame. */
  read(target: Position): void;
  /** Say it at every key: it is sent every 3 s at most, and ended 6 s after the last one or by `false`. */
  type(on?: boolean): void;
  /** A page; without `before` and `after` the newest. At most 200. */
  history(options?: { readonly before?: number; readonly after?: number; readonly limit?: number }): Promise<Page>;
  leave(): void;
}
