// Everyone's connection is cut in the same moment, without a close frame. They come back at random moments of a span
// that doubles with each failure, read on from where they were, send again what had no answer, and must miss nothing
// and see nothing twice. Something else may end connections too: a gateway that is stopped, nginx that is reloaded.
//
//   k6 run loadtest/k6/storm.js                    (../README.md has the parameters)

import { configure, number } from './lib/config.js';
import { scenario } from './lib/scenario.js';

const config = configure({ users: 100, rooms: 10, rampMs: 5_000, chatMs: 24_000 });
const storms = number('CHORUS_STORMS', 3);
const backP95Ms = number('CHORUS_BACK_P95_MS', 5_000);

// Evenly over the time in which all of them talk.
const cuts = Array.from({ length: storms }, (_, storm) => config.rampMs + (config.chatMs * (storm + 1)) / (storms + 1));

export const { options, setup, chat, handleSummary } = scenario('storm', config, {
  plan: () => ({ reconnect: true, cuts }),
  // Without a replay nothing would be proved.
  thresholds: { chorus_back: [`p(95)<${backP95Ms}`], chorus_replayed: ['count>0'] },
});
export default chat;
