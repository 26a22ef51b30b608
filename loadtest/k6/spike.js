// A crowd comes at once to where people chat, says little, and is gone again: those who were there should not notice.
// They talk alone for a third of the time, with the crowd for a third, and alone again.
//
//   k6 run loadtest/k6/spike.js                    (../README.md has the parameters)

import { configure, number } from './lib/config.js';
import { scenario } from './lib/scenario.js';

const config = configure({ users: 20, rooms: 5, rampMs: 2_000, chatMs: 21_000 });
const crowd = number('CHORUS_CROWD', 150);
const crowdIntervalMs = number('CHORUS_CROWD_INTERVAL_MS', 5_000);
const readyP95Ms = number('CHORUS_READY_P95_MS', 2_000);

const third = config.chatMs / 3;
const [comes, leaves, end] = [1, 2, 3].map((part) => config.rampMs + part * third);

function plan(index) {
  if (index < config.users) {
    return { arrive: (config.rampMs * index) / config.users, room: Math.floor((index * config.rooms) / config.users) };
  }
  const room = Math.floor(((index - config.users) * config.rooms) / crowd);
  return { arrive: comes, leave: leaves, room, intervalMs: crowdIntervalMs };
}

export const { options, setup, chat, handleSummary } = scenario('spike', config, {
  users: config.users + crowd,
  plan,
  phases: [
    ['1 before', comes],
    ['2 crowd', leaves],
    ['3 after', end],
  ],
  thresholds: { chorus_ready: [`p(95)<${readyP95Ms}`] },
});
export default chat;
