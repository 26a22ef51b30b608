import type { Options } from "chorus-client";

/** Who this tab is, for as long as it is open: nothing of it outlives the tab. */
export type Identity =
  | { readonly kind: "guest"; readonly user: string; readonly name: string }
  | { readonly kind: "token"; readonly token: string }
  /** The browser sends the cookie by itself. */
  | { readonly kind: "cookie" };

const KEY = "chorus.me";

export function remembered(): Identity | undefined {
  try {
    return (JSON.parse(sessionStorage.getItem(KEY) ?? "null") as Identity | null) ?? undefined;
  } catch {
    return undefined;
  }
}

export function remember(identity: Identity | undefined): void {
  try {
    if (identity) sessionStorage.setItem(KEY, JSON.stringify(identity));
    else sessionStorage.removeItem(KEY);
  } catch {
    // Storage may be forbidden: a reload then asks again.
  }
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
      return { getToken: () => guestToken(identity) };
    case "token":
      return { token: identity.token };
    case "cookie":
      return {};
  }
}

async function guestToken({ user, name }: { readonly user: string; readonly name: string }): Promise<string> {
  const answer = await fetch(`/dev/token?${new URLSearchParams({ user, name })}`);
  const body = (await answer.json()) as { readonly token?: string; readonly detail?: string };
  if (answer.ok && body.token !== undefined) return body.token;
  // Asked again it would refuse again; where it is only away, the client tries on.
  const why = new Error(body.detail ?? `the server answered ${answer.status}`);
  throw Object.assign(why, { fatal: answer.status >= 400 && answer.status < 500 });
}

/** What `text` is, if it may be a token; somebody may paste it with what stands around it. */
export function tokenIn(text: string): string | undefined {
  return /[\w-]+\.[\w-]+\.[\w-]+/.exec(text)?.[0];
}
