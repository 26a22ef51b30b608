import type { Options } from "chorus-client";
import { guestToken } from "../ui/site.ts";
import { inTab, jsonIn } from "../ui/storage.ts";

/** Who this tab is, for as long as it is open: nothing of it outlives the tab. */
export type Identity =
  | { readonly kind: "guest"; readonly user: string; readonly name: string }
  | { readonly kind: "token"; readonly token: string }
  /** The browser sends the cookie by itself. */
  | { readonly kind: "cookie" };

const KEY = "chorus.me";

export function remembered(): Identity | undefined {
  return (jsonIn(inTab, KEY) as Identity | null | undefined) ?? undefined;
}

export function remember(identity: Identity | undefined): void {
  inTab.set(KEY, identity ? JSON.stringify(identity) : null);
}

/** A guest. The same name stays the same user, so that a reload finds its own messages. */
export function guest(name: string, before: Identity | undefined): Identity {
  if (before?.kind === "guest" && before.name === name) return before;
  return { kind: "guest", user: userId(name), name };
}

/** A user id made from a name: to be read, of the protocol's letters, and with an ending that tells two Annas apart. */
function userId(name: string): string {
  const plain = name.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").toLowerCase();
  const base = plain.replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 40) || "guest";
  const ending = Array.from(crypto.getRandomValues(new Uint8Array(4)), (byte) => (byte % 36).toString(36)).join("");
  return `${base}-${ending}`;
}

/** How the client signs in as somebody. */
export function optionsFor(identity: Identity): Options {
  switch (identity.kind) {
    case "guest":
      return { getToken: () => guestToken(identity.user, identity.name) };
    case "token":
      return { token: identity.token };
    case "cookie":
      return {};
  }
}

/** What `text` is, if it may be a token; somebody may paste it with what stands around it. */
export function tokenIn(text: string): string | undefined {
  return /[\w-]+\.[\w-]+\.[\w-]+/.exec(text)?.[0];
}
