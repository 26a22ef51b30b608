// One room with everyone in it: a few speak, all listen.
//
//   k6 run loadtest/k6/big-room.js                 (../README.md has the parameters)

import { configure, number } from './lib/config.js';
import { scenario } from './lib/scenario.js';

const config = configure({ users: 200, rooms: 1, rampMs: 5_000, chatMs: 15_000 });
const speakers = number('CHORUS_SPEAKERS', 5);

export const { options, setup, chat, handleSummary } = scenario('big-room', config, {
  plan: (index) => ({ intervalMs: index < speakers ? config.intervalMs : 0 }),
});
export default chat;
