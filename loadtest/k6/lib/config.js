// What the environment says, or `-e NAME=value` (../../README.md has the table).

// The parameters that all scripts have. A script gives the defaults that are its own.
export function configure(defaults) {
  return {
    // Several are given to the users in turn.
    urls: text('CHORUS_URL', 'ws://127.0.0.1:8080/ws').split(','),
    token: text('CHORUS_TOKEN', ''),
    secret: text('CHORUS_JWT_SECRET', ''),
    audience: text('CHORUS_AUTH_AUDIENCE', ''),
    issuer: text('CHORUS_AUTH_ISSUER', ''),
    users: number('CHORUS_USERS', defaults.users),
    rooms: number('CHORUS_ROOMS', defaults.rooms),
    roomPrefix: text('CHORUS_ROOM_PREFIX', 'k6'),
    rampMs: number('CHORUS_RAMP_MS', defaults.rampMs),
    chatMs: number('CHORUS_CHAT_MS', defaults.chatMs),
    intervalMs: number('CHORUS_INTERVAL_MS', defaults.intervalMs ?? 1_000),
    bytes: number('CHORUS_BYTES', 128),
    // How long after the last word replies and events may take.
    settleMs: number('CHORUS_SETTLE_MS', 5_000),
    backoffMs: number('CHORUS_BACKOFF_MS', 1_000),
    deliveryP95Ms: number('CHORUS_DELIVERY_P95_MS', 500),
    summaries: text('CHORUS_SUMMARY', '').split(',').filter(Boolean),
  };
}

export function text(name, fallback) {
  return __ENV[name] || fallback;
}

export function number(name, fallback) {
  const value = Number(__ENV[name] || fallback);
  if (!(value >= 0)) throw new Error(`${name}: "${__ENV[name]}" is not a number`);
  return value;
}
