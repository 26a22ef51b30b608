/** Frames, as the client looks at them, and what carries them. PROTOCOL.md says which fields belong to which type. */
import type { Json, Marker, Member, Position } from "./types.ts";

/** What the server says, of whatever type. */
export interface Frame {
  readonly type: string;
  readonly ref?: number;
  readonly room?: string;
  readonly epoch?: string;
  readonly seq?: number;
  readonly code?: string | number;
  readonly message?: string;
  readonly reason?: string;
  readonly retry_after_ms?: number;
  readonly user?: string;
  readonly node?: string;
  readonly session?: string;
  readonly heartbeat_ms?: number;
  readonly limits?: Limits;
  readonly head?: number;
  readonly count?: number;
  readonly recovered?: boolean;
  readonly duplicate?: boolean;
  readonly members?: readonly Member[];
  readonly joined?: readonly Member[];
  readonly left?: readonly Member[];
  readonly markers?: readonly Marker[];
  readonly from?: string;
  readonly on?: boolean;
  readonly id?: string;
}

export interface Limits {
  readonly id_ttl_ms: number;
  readonly data_bytes: number;
  readonly frame_bytes: number;
  readonly json_depth: number;
  readonly requests_in_flight: number;
  readonly frames_per_second: number;
  readonly frame_burst: number;
}

/** What a client says. */
export interface Request {
  readonly type: string;
  readonly ref?: number;
  readonly room?: string;
  readonly token?: string;
  readonly since?: Position;
  readonly recent?: number;
  readonly on?: boolean;
  readonly data?: Json;
  readonly id?: string;
  readonly target?: Position;
  readonly key?: string;
  readonly before?: number;
  readonly after?: number;
  readonly limit?: number;
}

/** One connection that was made once. After `close`, and after it has told `onClose`, it tells nothing. */
export interface Link {
  send(frame: Request): void;
  close(): void;
}

export interface LinkEvents {
  /** It came up; whether the server takes the client is told later. */
  onOpen(): void;
  onFrame(frame: Frame): void;
  /** `code` is a WebSocket close code, whatever the link is made of. */
  onClose(code: number, reason: string): void;
}

/** What a room asks of the connection. */
export interface Wire {
  /**
   * Sends when its turn has come. `make` is asked at that moment, and may have changed its mind; `done` is told the answer, or nothing
   * when the connection was lost before, when it is not there, or when nothing was made.
   */
  ask(make: () => Request | undefined, done?: (answer?: Frame) => void): void;
  /** Nothing is sent for so many ms: the server said that it is too much. */
  hold(ms: number): void;
  readonly user: string | undefined;
  /** In force since the last `welcome`. */
  readonly limits: Limits;
  /** ms. */
  readonly timeout: number;
}
