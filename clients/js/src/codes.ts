/** Which ends of a connection are final. Whatever is not named here passes: the protocol's other codes, and those of what stands in between. */
import type { Frame } from "./wire.ts";

const FINAL = [1000, 1002, 1003, 1007, 1008, 1009];

/** Whether the same client would only be closed again. */
export function isFinal(code: number): boolean {
  return FINAL.includes(code);
}

const PASSING = ["unavailable", "rate_limited", "internal"];

/** Whether the same request may be made again: of what is too large only a full room passes, and that says when. */
export function passes({ code, retry_after_ms }: Frame): boolean {
  return PASSING.includes(code as string) || (code === "too_large" && retry_after_ms !== undefined);
}
