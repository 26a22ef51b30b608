/** What this gateway says about itself to its pages. */
export interface Site {
  /** It is in development mode: guests get a token at `/dev/token`. */
  readonly guests: boolean;
}

/** Asks the gateway; rejects when it does not answer. */
export async function askSite(): Promise<Site> {
  const answer = await fetch("/site.json");
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  return (await answer.json()) as Site;
}

/** A token for a guest, of a gateway in development mode. Throws why there is none: `fatal` where it would be refused again. */
export async function guestToken(user: string, name: string): Promise<string> {
  const answer = await fetch(`/dev/token?${new URLSearchParams({ user, name })}`);
  const body = (await answer.json()) as { readonly token?: string; readonly detail?: string };
  if (answer.ok && body.token !== undefined) return body.token;
  const why = new Error(body.detail ?? `the server answered ${answer.status}`);
  throw Object.assign(why, { fatal: answer.status >= 400 && answer.status < 500 });
}
