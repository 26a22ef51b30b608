/** Frames for people and for programs. */
import { dump, hexOf } from "./hex.ts";
import type { Frame } from "./frames.ts";

/** Of a frame of bytes; of a text 16 times as many characters. */
export const SHOWN_BYTES = 4096;
const SHOWN_TEXT = 16 * SHOWN_BYTES;

/** A line of JSON: `at`, `direction`, `opcode`, `size`, and `text` or `hex`. */
export function line({ at, direction, opcode, size, text, bytes }: Frame): string {
  return JSON.stringify({ at: new Date(at).toISOString(), direction, opcode, size, ...(bytes ? { hex: hexOf(bytes, "") } : { text }) });
}

export function lines(frames: readonly Frame[]): string {
  return frames.map((frame) => `${line(frame)}\n`).join("");
}

/** What a copy of one frame gives: a text as it is, bytes as digits. */
export function payload({ text, bytes }: Frame): string {
  return bytes ? hexOf(bytes) : text;
}

/** For a row: the beginning, in one line. */
export function preview({ text, bytes }: Frame, most = 400): string {
  if (bytes) return hexOf(bytes.subarray(0, 64)) + (bytes.length > 64 ? " …" : "");
  const start = text.length > most ? `${text.slice(0, most)}…` : text;
  return start.replace(/\s+/g, " ");
}

/** For an opened row: JSON with a line for each member, bytes with their offsets. The rest of what is very long is named, not shown. */
export function details({ text, bytes }: Frame): string {
  if (bytes) return cut(dump(bytes.subarray(0, SHOWN_BYTES)), bytes.length - SHOWN_BYTES);
  let pretty = text;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) pretty = JSON.stringify(value, undefined, 2);
  } catch {
    // It is no JSON, and shown as it came.
  }
  return cut(pretty.slice(0, SHOWN_TEXT), pretty.length - SHOWN_TEXT);
}

const cut = (shown: string, more: number): string => (more > 0 ? `${shown}\n… ${more.toLocaleString("en")} more: copy or export has all` : shown);

export function bytesText(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 1024 * 1024 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

/** Local time to the millisecond. */
export function timeText(at: number): string {
  const time = new Date(at);
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}.${String(time.getMilliseconds()).padStart(3, "0")}`;
}
