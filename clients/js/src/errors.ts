/** What goes wrong reaches the application as this. */
import type { Frame } from "./wire.ts";

/** What may come with an error, beside its code and message. */
export interface ErrorDetails {
  readonly retryAfterMs?: number | undefined;
  readonly closeCode?: number | undefined;
  readonly cause?: unknown;
}

/**
 * `code` is for programs: one of the protocol's (`forbidden`, `too_large`, …), a close reason (`banned`, `auth_failed`, …) or one of the
 * client's own: `closed`, `unknown`, `timeout`, `queue_full`, `overflow`, `aborted`. `message` is for developers.
 */
export class ChorusError extends Error {
  override readonly name = "ChorusError";
  declare readonly code: string;
  /** When the same may work again, in ms; where the server has said so. */
  declare readonly retryAfterMs?: number | undefined;
  /** The WebSocket close code, where one was the reason. */
  declare readonly closeCode?: number | undefined;

  constructor(code: string, message = code, details: ErrorDetails = {}) {
    super(message, details);
    Object.assign(this, { code }, details);
  }
}

/** What the server refused, as an error. */
export function errorOf({ code, message, retry_after_ms: retryAfterMs }: Frame): ChorusError {
  return new ChorusError(String(code), message, { retryAfterMs });
}
