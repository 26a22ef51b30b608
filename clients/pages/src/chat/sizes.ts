/** The server's default, in bytes, until it has said what it takes. */
export const USUAL_BYTES = 16_384;

/** How many letters at the end of a text are too many for what the server takes as data of a message. */
export function surplus(text: string, most: number): number {
  // A letter takes six bytes at most, where it has to be escaped.
  if (text.length * 6 < most - 16) return 0;
  let over = bytesOf({ text }) - most;
  if (over <= 0) return 0;
  const letters = Array.from(text);
  let count = 0;
  while (over > 0 && count < letters.length) {
    count++;
    // Without the quotes.
    over -= bytesOf(letters[letters.length - count]) - 2;
  }
  return count;
}

function bytesOf(data: unknown): number {
  return new TextEncoder().encode(JSON.stringify(data)).length;
}
