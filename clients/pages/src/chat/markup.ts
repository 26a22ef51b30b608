/** A piece of a text. Nothing of a text is ever HTML. */
export type Piece =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "code"; readonly text: string }
  | { readonly kind: "block"; readonly text: string }
  | { readonly kind: "link"; readonly href: string; readonly text: string }
  | { readonly kind: "bold" | "italic"; readonly pieces: readonly Piece[] };

/** Bold, italics, code and links of a text; all else is as it was written. */
export function parse(text: string): readonly Piece[] {
  const pieces: Piece[] = [];
  let from = 0;
  for (;;) {
    const open = text.indexOf("```", from);
    const close = open < 0 ? -1 : text.indexOf("```", open + 3);
    if (close < 0) break;
    const inside = text.slice(open + 3, close);
    // The name of a language on the fence's line is not part of the code.
    const code = inside.replace(/^[\w+#-]*\n/, "").replace(/\n$/, "");
    if (code.trim()) {
      pieces.push(...inline(text.slice(from, open).replace(/\n$/, "")), { kind: "block", text: code });
    } else {
      pieces.push(...inline(text.slice(from, close + 3)));
    }
    from = close + 3;
    if (text[from] === "\n") from++;
  }
  pieces.push(...inline(text.slice(from)));
  return pieces;
}

/** What opens something, at one place. A sticky expression looks nowhere else, so a text costs no more than its length. */
const LINK = /https?:\/\/[^\s<>"`]+/iy;
const WORD = /[\p{L}\p{N}_]/u;

function inline(text: string): Piece[] {
  const pieces: Piece[] = [];
  let plain = 0;
  let at = 0;
  while (at < text.length) {
    const found = begins(text, at);
    if (!found) {
      at++;
      continue;
    }
    if (plain < at) pieces.push({ kind: "text", text: text.slice(plain, at) });
    pieces.push(found.piece);
    plain = at = found.end;
  }
  if (plain < text.length) pieces.push({ kind: "text", text: text.slice(plain) });
  return pieces;
}

interface Found {
  readonly piece: Piece;
  /** Where the text goes on. */
  readonly end: number;
}

function begins(text: string, at: number): Found | undefined {
  switch (text[at]) {
    case "`":
      return code(text, at);
    case "*":
      return text[at + 1] === "*" ? emphasis(text, at, "**", "bold") : emphasis(text, at, "*", "italic");
    case "_":
      return WORD.test(text[at - 1] ?? "") ? undefined : emphasis(text, at, "_", "italic");
    case "h":
    case "H":
      return WORD.test(text[at - 1] ?? "") ? undefined : link(text, at);
    default:
      return undefined;
  }
}

function code(text: string, at: number): Found | undefined {
  const close = text.indexOf("`", at + 1);
  const inside = text.slice(at + 1, close);
  if (close < 0 || !inside.trim() || inside.includes("\n")) return undefined;
  return { piece: { kind: "code", text: inside }, end: close + 1 };
}

/** A mark that is closed later than this was none: nobody emphasises so much, and looking on and on takes time. */
const LONGEST = 1_000;

/** Stars and lines count only where they stand close to what is between them, on one line: `2 * 3 * 4` is arithmetic. */
function emphasis(text: string, at: number, mark: "**" | "*" | "_", kind: "bold" | "italic"): Found | undefined {
  const start = at + mark.length;
  if (isSpace(text[start])) return undefined;
  for (let close = text.indexOf(mark, start + 1); close >= 0 && close - start <= LONGEST; close = text.indexOf(mark, close + 1)) {
    // In `***both***` the inner mark closes first.
    if (mark === "**" && text[close + 2] === "*") close++;
    const end = close + mark.length;
    if (isSpace(text[close - 1])) continue;
    // Half of a `**` closes no `*`, and a line inside a word closes nothing.
    if (mark === "*" && (text[end] === "*" || text[close - 1] === "*")) continue;
    if (mark === "_" && WORD.test(text[end] ?? "")) continue;
    const inside = text.slice(start, close);
    // Marks and nothing else emphasise nothing.
    if (inside.includes("\n") || !/[^*_]/.test(inside)) return undefined;
    return { piece: { kind, pieces: inline(inside) }, end };
  }
  return undefined;
}

function isSpace(character: string | undefined): boolean {
  return character === undefined || /\s/.test(character);
}

function link(text: string, at: number): Found | undefined {
  LINK.lastIndex = at;
  const found = LINK.exec(text)?.[0];
  if (!found) return undefined;
  const shown = withoutTail(found);
  let url: URL;
  try {
    url = new URL(shown);
  } catch {
    return undefined;
  }
  // Said twice, here and by the expression: nothing else may become a link.
  if (url.protocol !== "https:" && url.protocol !== "http:") return undefined;
  return { piece: { kind: "link", href: url.href, text: shown }, end: at + shown.length };
}

/** What ends a sentence does not belong to the link in it, and neither does a bracket that was opened before it. */
function withoutTail(url: string): string {
  let surplus = url.split(")").length - url.split("(").length;
  let end = url.length;
  for (; end > 0; end--) {
    const last = url[end - 1] ?? "";
    if (last === ")" && surplus > 0) surplus--;
    else if (!/[.,;:!?'*_~\]}]/.test(last)) break;
  }
  return url.slice(0, end);
}
