// More and more users, until something gives: the delivery times are told apart by step, so that one sees where. The
// rooms are of equal size, so what a step adds are deliveries in proportion to its users.
//
//   k6 run loadtest/k6/ramp.js                     (../README.md has the parameters)

import { configure, number } from './lib/config.js';
import { scenario } from './lib/scenario.js';

const config = configure({ users: 120, rooms: 8, rampMs: 30_000, chatMs: 5_000 });
const steps = number('CHORUS_STEPS', 5);

const phases = Array.from({ length: steps }, (_, step) => [`step ${step + 1}`, (config.rampMs * (step + 1)) / steps]);

export const { options, setup, chat, handleSummary } = scenario('ramp', config, {
  phases: [...phases, ['top', config.rampMs + config.chatMs]],
});
export default chat;
