/** Bytes for people, and back. */

const DIGITS = new TextEncoder().encode("0123456789abcdef");
const ASCII = new TextDecoder();

/** Written into one array: a file may have millions of bytes, and as many strings would be more than a tab holds. */
export function hexOf(bytes: Uint8Array, between: " " | "" = " "): string {
  const width = 2 + between.length;
  const text = new Uint8Array(Math.max(0, bytes.length * width - between.length)).fill(0x20);
  bytes.forEach((byte, index) => {
    text[index * width] = DIGITS[byte >> 4] ?? 0;
    text[index * width + 1] = DIGITS[byte & 15] ?? 0;
  });
  return ASCII.decode(text);
}

/** As `hexdump -C` has it: offset, sixteen bytes, and what of them is printable. */
export function dump(bytes: Uint8Array): string {
  const lines = [];
  for (let offset = 0; offset < bytes.length; offset += 16) {
    const row = bytes.subarray(offset, offset + 16);
    const printable = Array.from(row, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")).join("");
    lines.push(`${offset.toString(16).padStart(6, "0")}  ${hexOf(row).padEnd(47)}  ${printable}`);
  }
  return lines.join("\n");
}

/** `00 ff`, `0x00 0xff`, `00ff`, `00:ff`. Throws what to mend. */
export function bytesOf(hex: string): Uint8Array<ArrayBuffer> {
  const digits = hex.replace(/0x/gi, "").replace(/[\s,:-]/g, "");
  const strange = /[^0-9a-f]/i.exec(digits);
  if (strange) throw new Error(`“${strange[0]}” is no hexadecimal digit`);
  if (digits.length % 2 === 1) throw new Error("a byte has two hexadecimal digits, and the last has one");
  return Uint8Array.from({ length: digits.length / 2 }, (_, index) => Number.parseInt(digits.slice(index * 2, index * 2 + 2), 16));
}
