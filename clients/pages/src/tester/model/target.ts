/** Where to connect, and how to say who one is. */

export type AuthBy = "first frame" | "subprotocol";

export interface Wish {
  readonly address: string;
  /** As typed: separated by commas or spaces. */
  readonly subprotocols: string;
  readonly token: string;
  readonly authBy: AuthBy;
}

export interface Target {
  readonly url: string;
  readonly protocols: readonly string[];
  /** The first frame, if that is how the token goes. */
  readonly first?: string;
}

/** RFC 9110's token: what a subprotocol is made of. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** `ws:` or `wss:` at this page's host. */
export function addressHere(page: { readonly protocol: string; readonly host: string }, path: string): string {
  return `${page.protocol === "https:" ? "wss" : "ws"}://${page.host}${path}`;
}

/** Throws what to mend, in words for who typed it. */
export function target({ address, subprotocols, token, authBy }: Wish, page: { readonly protocol: string }): Target {
  const url = parse(address.trim(), page);
  const protocols = subprotocols.split(/[\s,]+/).filter((name) => name !== "");
  for (const name of protocols) if (!TOKEN.test(name)) throw new Error(`“${name}” can't be a subprotocol: only letters, digits and !#$%&'*+-.^_\`|~ can`);
  const bare = token.trim();
  if (bare === "") return { url, protocols: once(protocols) };
  if (authBy === "first frame") return { url, protocols: once(protocols), first: JSON.stringify({ type: "auth", token: bare }) };
  if (!TOKEN.test(bare)) throw new Error("the token has characters that a subprotocol can't carry; send it as first frame");
  // The server selects chorus.v1: a browser fails where none of what it offered is selected.
  return { url, protocols: once(["chorus.v1", ...protocols, `bearer.${bare}`]) };
}

function parse(address: string, page: { readonly protocol: string }): string {
  if (address === "") throw new Error("enter an address, such as wss://example.com/ws");
  let url: URL;
  try {
    url = new URL(address);
  } catch {
    throw new Error(`“${address}” is no address: it begins with ws:// or wss://`);
  }
  if (url.protocol !== "ws:" && url.protocol !== "wss:") throw new Error(`an address begins with ws:// or wss://, and this one with ${url.protocol}//`);
  if (page.protocol === "https:" && url.protocol === "ws:" && !isHere(url.hostname)) {
    throw new Error("this page came by https, and a browser lets such a page connect by wss:// only");
  }
  // WebSocket addresses have none, and some browsers refuse one that has.
  url.hash = "";
  return url.href;
}

const isHere = (host: string): boolean => host === "localhost" || host.endsWith(".localhost") || host === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(host);

/** The standard refuses one that is named twice. */
const once = (names: readonly string[]): readonly string[] => [...new Set(names)];
