/** How long to wait before the next try. */

/** In ms: a random time below `base * 2^failures`, at most `cap`. Full jitter: a crowd that was cut off does not come back at once. */
export function backoff(failures: number, base = 250, cap = 30_000): number {
  return Math.floor(Math.random() * Math.min(cap, base * 2 ** failures));
}
