/** Keeps tokens out of what is shown, copied and exported. */

const HIDDEN = "…hidden";
/** What is shorter may stand in a text by chance. */
const SHORTEST = 8;

/** A text without the token in it, and an `auth` frame without whatever token it has. */
export function hide(text: string, token: string): string {
  const without = token.length >= SHORTEST && text.includes(token) ? text.replaceAll(token, shortened(token)) : text;
  // A token that was typed into the request itself. It may not be all JSON.
  if (!without.includes('"auth"')) return without;
  return without.replace(/("token"\s*:\s*")([^"]*)"/g, (_, before: string, value: string) => `${before}${shortened(value)}"`);
}

/** An address without its credentials. */
export function hideInAddress(address: string): string {
  const url = new URL(address);
  if (url.password) url.password = "hidden";
  for (const name of ["token", "ticket", "access_token"]) if (url.searchParams.has(name)) url.searchParams.set(name, "hidden");
  return url.href;
}

/** A JWT begins with its header, which says nothing secret. */
function shortened(value: string): string {
  return value.length < SHORTEST || value.endsWith(HIDDEN) ? value : value.slice(0, 4) + HIDDEN;
}
