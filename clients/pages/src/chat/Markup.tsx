import { useMemo, type ReactNode } from "react";
import type { Json } from "chorus-client";
import { parse, type Piece } from "./markup.ts";

/** What a message says. Programs may have sent anything: what is no text of ours is shown as the JSON that it is. */
export function Said({ data, edited }: { readonly data: Json | undefined; readonly edited: boolean }) {
  const text = textOf(data);
  const pieces = useMemo(() => (text === undefined ? [] : parse(text)), [text]);
  const note = edited && <bdi className="said-note">(edited)</bdi>;
  if (text !== undefined) {
    return (
      <div className="said" dir="auto">
        {pieces.map(show)}
        {note && <> {note}</>}
      </div>
    );
  }
  return (
    <>
      <pre className="said-data" dir="ltr" tabIndex={0}>{JSON.stringify(data, null, 2)}</pre>
      {note}
    </>
  );
}

/** The text of a message of this page's. */
export function textOf(data: Json | undefined): string | undefined {
  if (typeof data !== "object" || data === null || Array.isArray(data)) return undefined;
  const { text } = data as { readonly [key: string]: Json };
  return typeof text === "string" ? text : undefined;
}

function show(piece: Piece, index: number): ReactNode {
  switch (piece.kind) {
    case "text":
      return piece.text;
    case "code":
      return (
        <code key={index} dir="ltr">
          {piece.text}
        </code>
      );
    case "block":
      // It may be wider than the screen: who has no mouse scrolls it when it has the focus.
      return (
        <pre key={index} dir="ltr" tabIndex={0}>
          {piece.text}
        </pre>
      );
    case "bold":
      return <strong key={index}>{piece.pieces.map(show)}</strong>;
    case "italic":
      return <em key={index}>{piece.pieces.map(show)}</em>;
    case "link":
      return (
        <a key={index} href={piece.href} target="_blank" rel="noopener noreferrer nofollow">
          {piece.text}
        </a>
      );
  }
}
