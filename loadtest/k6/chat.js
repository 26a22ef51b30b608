// People who chat, steadily: they come one after another, talk, and leave at the same moment, once everything they
// sent has been answered and has come back to them.
//
//   k6 run loadtest/k6/chat.js                     (../README.md has the parameters)

import { configure } from './lib/config.js';
import { scenario } from './lib/scenario.js';

const config = configure({ users: 30, rooms: 3, rampMs: 10_000, chatMs: 20_000 });

export const { options, setup, chat, handleSummary } = scenario('chat', config);
export default chat;
