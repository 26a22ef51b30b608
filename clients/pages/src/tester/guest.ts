/** A token for whoever is at this machine, of a gateway in development mode. Throws why there is none. */
export async function guestToken(): Promise<string> {
  const user = `tester-${crypto.getRandomValues(new Uint32Array(1))[0]?.toString(36) ?? ""}`;
  const answer = await fetch(`/dev/token?user=${user}&name=Tester`);
  const body = (await answer.json()) as { token?: string; detail?: string };
  if (!answer.ok || body.token === undefined) throw new Error(body.detail ?? `the gateway answered ${answer.status}`);
  return body.token;
}
