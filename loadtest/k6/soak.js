// For a long time: steady talk, while now and then a user's connection is cut and it comes back. The delivery times are
// told apart by quarter, so that one sees whether they grow.
//
//   k6 run loadtest/k6/soak.js                     (../README.md has the parameters)

import { configure, number } from './lib/config.js';
import { scenario } from './lib/scenario.js';

const config = configure({ users: 50, rooms: 5, rampMs: 10_000, chatMs: 600_000 });
const stayMs = number('CHORUS_STAY_MS', 60_000);

const end = config.rampMs + config.chatMs;

// From half of CHORUS_STAY_MS to one and a half apart.
function plan() {
  const cuts = [];
  let at = config.rampMs;
  while (stayMs > 0 && (at += stayMs * (0.5 + Math.random())) < end) cuts.push(at);
  return { reconnect: true, cuts };
}

export const { options, setup, chat, handleSummary } = scenario('soak', config, {
  plan,
  phases: [1, 2, 3, 4].map((quarter) => [`quarter ${quarter}`, (end * quarter) / 4]),
});
export default chat;
