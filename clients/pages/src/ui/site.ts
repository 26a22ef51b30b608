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
