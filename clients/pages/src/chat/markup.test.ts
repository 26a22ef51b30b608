import { expect, test } from "vitest";
import { parse, type Piece } from "./markup.ts";

/** Pieces as one line, to be read by people. */
function shown(pieces: readonly Piece[]): string {
  return pieces
    .map((piece) => {
      switch (piece.kind) {
        case "text":
          return piece.text;
        case "link":
          return `<${piece.href}>`;
        case "bold":
        case "italic":
          return `${piece.kind}(${shown(piece.pieces)})`;
        default:
          return `${piece.kind}[${piece.text}]`;
      }
    })
    .join("");
}

test.each([
  ["plain", "plain"],
  ["", ""],
  ["a **b** c", "a bold(b) c"],
  ["a *b* and _c d_", "a italic(b) and italic(c d)"],
  ["**a *b* c**", "bold(a italic(b) c)"],
  ["***both***", "bold(italic(both))"],
  ["`a * b`", "code[a * b]"],
  ["`**a**`", "code[**a**]"],
  ["2 * 3 * 4", "2 * 3 * 4"],
  ["snake_case_name", "snake_case_name"],
  ["_a_b", "_a_b"],
  ["*open", "*open"],
  ["**open\nand on**", "**open\nand on**"],
  ["``", "``"],
  ["# no heading", "# no heading"],
  ["<b>no</b> & no", "<b>no</b> & no"],
  ["[no](https://a.example/)", "[no](<https://a.example/>)"],
  ["a\n```rust\nlet x = 1;\n```\nb", "ablock[let x = 1;]b"],
  ["```one line```", "block[one line]"],
  ["``` ```", "``` ```"],
  ["```open", "```open"],
])("%j is %j", (text, expected) => {
  expect(shown(parse(text))).toBe(expected);
});

test.each([
  ["see https://a.example/b?c=d#e.", "see <https://a.example/b?c=d#e>."],
  ["(https://a.example/x_(y))", "(<https://a.example/x_(y)>)"],
  ["**https://a.example/**", "bold(<https://a.example/>)"],
  ["HTTP://A.example", "<http://a.example/>"],
  ["xhttps://a.example/", "xhttps://a.example/"],
  ["https://", "https://"],
  ["javascript:alert(1)", "javascript:alert(1)"],
  ["data:text/html,x", "data:text/html,x"],
  ["ftp://a.example/", "ftp://a.example/"],
  ["//a.example/", "//a.example/"],
  ['https://a.example/"onclick="x', '<https://a.example/>"onclick="x'],
])("of %j only what goes to the web becomes a link", (text, expected) => {
  expect(shown(parse(text))).toBe(expected);
});

// It would take hours; a busy machine takes some seconds.
test("a long text of marks that open nothing takes no longer than a long text", { timeout: 60_000 }, () => {
  for (const mark of ["*", "**a ", "*a ", "_a ", "`", "```", "https://", "https://a.b/)", "**a** "]) {
    const text = mark.repeat(Math.ceil(16_384 / mark.length));
    expect(shown(parse(text)).length).toBeGreaterThan(0);
  }
});
