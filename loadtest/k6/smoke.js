// Does it work at all? A handful of users, a few seconds.
//
//   k6 run loadtest/k6/smoke.js                    (../README.md has the parameters)

import { configure } from './lib/config.js';
import { scenario } from './lib/scenario.js';

const config = configure({ users: 6, rooms: 2, rampMs: 1_000, chatMs: 4_000, intervalMs: 500 });

export const { options, setup, chat, handleSummary } = scenario('smoke', config);
export default chat;
