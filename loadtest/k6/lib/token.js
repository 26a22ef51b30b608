// Tokens that the gateways take: HS256, signed with their own secret.

import crypto from 'k6/crypto';
import encoding from 'k6/encoding';

// A token for `user`, good for this run.
export function mint(config, user) {
  const now = Math.floor(Date.now() / 1000);
  const exp = now + Math.ceil((config.rampMs + config.chatMs + config.settleMs) / 1000) + 300;
  const claims = { sub: user, name: user, iat: now, exp };
  if (config.audience) claims.aud = config.audience;
  if (config.issuer) claims.iss = config.issuer;
  const part = (value) => encoding.b64encode(JSON.stringify(value), 'rawurl');
  const body = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${body}.${crypto.hmac('sha256', config.secret, body, 'base64rawurl')}`;
}
