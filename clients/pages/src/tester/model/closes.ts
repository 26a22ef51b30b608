/** Close codes in words: what each means, whether to connect again, and what to do. docs/PROTOCOL.md has the table for Chorus, RFC 6455 (section 7.4) and IANA's registry the rest. */

export type Again = "no" | "yes" | "later" | "new token";

interface Explanation {
  /** The name of the code in the registry, or of the range. */
  readonly name: string;
  readonly meaning: string;
  readonly again: Again;
  readonly advice: string;
}

export interface Close {
  readonly code: number;
  readonly reason: string;
  /** Whether the connection had been open. */
  readonly opened: boolean;
}

export const AGAIN: Readonly<Record<Again, string>> = {
  no: "Do not reconnect by itself",
  yes: "Reconnect, with backoff",
  later: "Reconnect, but not at once",
  "new token": "Reconnect with a new token",
};

/** By `code reason`, for what a Chorus gateway says. */
const CHORUS: Readonly<Record<string, Omit<Explanation, "name">>> = {
  "1000 bye": { meaning: "The server ended the connection because there was nothing more to do.", again: "no", advice: "Nothing is wrong." },
  "1001 going_away": { meaning: "The node ended, and its drain had no time left for this connection.", again: "yes", advice: "Reconnect to any node, and resume each room by “since” with its last position." },
  "1001 heartbeat_timeout": { meaning: "The client answered no ping for longer than the heartbeat allows: it was asleep, or the network between was gone.", again: "yes", advice: "Reconnect, and resume each room by “since”. If it happens often, something on the way drops idle connections." },
  "1002 protocol_violation": { meaning: "The client broke the rules of WebSocket itself: an unmasked frame, a reserved bit, a wrong opcode.", again: "no", advice: "Mend the client, or the proxy that changes frames on the way." },
  "1007 not_utf8": { meaning: "A text frame was not UTF-8.", again: "no", advice: "Send text frames in UTF-8; binary data belongs into JSON as base64." },
  "1003 binary_unsupported": { meaning: "A binary frame came, and this connection speaks JSON in text frames.", again: "no", advice: "Send each request as one JSON object in a text frame." },
  "1008 auth_required": { meaning: "Another frame came before the connection was authenticated.", again: "no", advice: "Send {\"type\":\"auth\",\"token\":…} first, and wait for “welcome”." },
  "1008 auth_failed": { meaning: "The token or ticket is not good: a wrong signature, issuer or audience, no “sub” or “exp”, a ticket used before, or a token that was revoked.", again: "no", advice: "Get a new token. If new ones fail too, compare the key, “iss” and “aud” with the gateway's configuration." },
  "1008 auth_timeout": { meaning: "No credential came in the five seconds that there are for it.", again: "no", advice: "Give a token: as first frame {\"type\":\"auth\",\"token\":…}, as subprotocol bearer.<token>, or a ticket." },
  "1008 rate_limited": { meaning: "The client went on sending after it was told “rate_limited” many times in a row.", again: "no", advice: "Send more slowly, and wait for “retry_after_ms” of such an error. “welcome” tells the limits." },
  "1008 banned": { meaning: "This user is banned, on every node, until the ban ends.", again: "no", advice: "The “closing” frame before has the reason and, as “retry_after_ms”, when it ends." },
  "1008 kicked": { meaning: "A moderator or the server API ended this user's connections.", again: "no", advice: "The user may come back, but a client does not by itself." },
  "1008 bad_request": { meaning: "Too many frames in a row (10, unless configured otherwise) were no valid requests.", again: "no", advice: "Read the “error” frames before: each says what was wrong." },
  "1009 too_large": { meaning: "A frame was larger than the gateway takes (64 KiB, unless configured otherwise).", again: "no", advice: "“welcome” tells the limits; send less in one frame." },
  "1011 internal": { meaning: "A fault of the server's own.", again: "yes", advice: "Reconnect and resume; the server's log has the cause." },
  "1012 restart": { meaning: "The node drains, to be restarted or taken away.", again: "later", advice: "Reconnect after the “retry_after_ms” of the “closing” frame before: it differs for each client, so that not all come at once." },
  "1013 overloaded": { meaning: "There was no place: the node, this address or this user has as many connections as it may.", again: "later", advice: "Wait for the “retry_after_ms” of the “closing” frame, then back off further. Close connections that are not needed." },
  "1013 slow_consumer": { meaning: "The client read more slowly than its rooms speak, and the server does not keep more for it.", again: "later", advice: "Reconnect with backoff and resume by “since”: nothing is lost. Join fewer rooms, or read faster." },
  "1013 unavailable": { meaning: "The node could never fetch the keys that it judges tokens by.", again: "later", advice: "Reconnect with backoff; if it stays, look at the address of the keys (JWKS) in the gateway's configuration." },
  "4401 token_expired": { meaning: "The token ran out: at the handshake, or during the connection without a fresh “auth” after “expiring”.", again: "new token", advice: "Get a new token, then reconnect and resume. To stay connected, answer “expiring” with a fresh “auth”." },
};

/** By code, for any server. */
const STANDARD: Readonly<Record<number, Explanation>> = {
  1000: { name: "normal closure", meaning: "The work was done; whoever closed meant to.", again: "no", advice: "Nothing is wrong." },
  1001: { name: "going away", meaning: "The server goes down, or a page was left.", again: "yes", advice: "Reconnect with backoff." },
  1002: { name: "protocol error", meaning: "The other side received a frame that breaks the rules of WebSocket.", again: "no", advice: "Mend what sends it: it will happen again." },
  1003: { name: "unsupported data", meaning: "The other side does not take this kind of data, such as binary where it expects text.", again: "no", advice: "Send the kind that it takes." },
  1004: { name: "reserved", meaning: "The code has no meaning yet.", again: "no", advice: "Look into the server's documentation." },
  1005: { name: "no status received", meaning: "The other side closed and gave no code. It is never sent: the browser says so.", again: "yes", advice: "Nothing is known of the reason; reconnect with backoff if you did not close yourself." },
  1006: { name: "abnormal closure", meaning: "The connection broke without a close frame: the network was cut, the process died, or a proxy gave up. It is never sent: the browser says so.", again: "yes", advice: "Reconnect with backoff. If it comes after a fixed time of silence, a proxy on the way cuts idle connections." },
  1007: { name: "invalid payload data", meaning: "A message was not what its kind says, such as text that is not UTF-8.", again: "no", advice: "Mend what encodes it: it will happen again." },
  1008: { name: "policy violation", meaning: "The other side's rules forbid it: often a credential that is missing or bad.", again: "no", advice: "Read the reason; reconnecting alone changes nothing." },
  1009: { name: "message too big", meaning: "A message was larger than the other side takes.", again: "no", advice: "Send less in one message." },
  1010: { name: "mandatory extension", meaning: "The client wanted an extension that the server did not agree to.", again: "no", advice: "Connect without it, or enable it at the server." },
  1011: { name: "internal error", meaning: "The server met a condition that it was not made for.", again: "yes", advice: "Reconnect with backoff; the server's log has the cause." },
  1012: { name: "service restart", meaning: "The server restarts.", again: "later", advice: "Reconnect after a random 5 to 30 seconds, so that not all come at once." },
  1013: { name: "try again later", meaning: "The server has more to do than it can.", again: "later", advice: "Reconnect with backoff, beginning with seconds." },
  1014: { name: "bad gateway", meaning: "A proxy got an invalid answer from the server behind it.", again: "later", advice: "Reconnect with backoff; look whether the server behind the proxy runs." },
  1015: { name: "TLS handshake", meaning: "TLS could not be agreed on, such as for a certificate that does not hold. It is never sent: the browser says so.", again: "no", advice: "Open the host by https:// in a tab: the browser says there what is wrong with the certificate." },
  3000: { name: "unauthorized", meaning: "The server wants a credential.", again: "new token", advice: "Authenticate as the server's documentation says." },
  3003: { name: "forbidden", meaning: "The credential is good, and does not allow this.", again: "no", advice: "Ask for the right, or connect elsewhere." },
  3008: { name: "timeout", meaning: "The other side waited too long for something.", again: "yes", advice: "Reconnect with backoff." },
};

const UNOPENED: Explanation = {
  name: "abnormal closure",
  meaning: "The connection never opened, and a browser does not tell a page why.",
  again: "later",
  advice: "Look whether something listens at this address; its path is a WebSocket; it takes this page's origin (a Chorus gateway: “allowed_origins”) and one of the subprotocols; the certificate holds (wss). A browser refuses by itself if this page came by https while the address begins with ws:, and newer ones if the page is public, the address is not, and you did not allow it.",
};

/** A reason that is one of this project's own is taken for what it means here. */
export function explain({ code, reason, opened }: Close): Explanation {
  if (code === 1006 && !opened) return UNOPENED;
  const known = CHORUS[`${code} ${reason}`];
  if (known) return { name: STANDARD[code]?.name ?? reason.replace("_", " "), ...known };
  return STANDARD[code] ?? range(code);
}

function range(code: number): Explanation {
  const advice = "Look into the server's documentation.";
  if (code < 1000) return { name: "not used", meaning: "Codes below 1000 are not used.", again: "no", advice };
  if (code < 3000) return { name: "reserved", meaning: "Reserved for the protocol and its extensions.", again: "no", advice };
  if (code < 4000) return { name: "of a library", meaning: "Registered for libraries and frameworks (IANA), and not one of those that this page knows.", again: "no", advice };
  return { name: "of the application", meaning: "A code of the application's own: its author knows what it means.", again: "no", advice };
}
