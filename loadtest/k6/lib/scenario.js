// What makes users into a k6 script: who comes when, the thresholds, the report.

import exec from 'k6/execution';
import { page } from './html.js';
import { report } from './report.js';
import { User } from './user.js';

// The four things that a script exports. `users`: how many there are, if not `config.users`. `plan(index)`: what is
// special about a user. `phases`: [name, its end in ms from the run's start], told apart in `chorus_delivery`.
// `thresholds`: besides those about every single message.
export function scenario(name, config, { users = config.users, plan, phases = [], thresholds = {} } = {}) {
  const endMs = config.rampMs + config.chatMs;
  const tags = phases.map(([phase, until]) => ({ until, tags: { phase } }));
  const usual = {
    leave: endMs,
    cuts: [],
    intervalMs: config.intervalMs,
    reconnect: false,
    phase: (ms) => (tags.find(({ until }) => ms < until) ?? tags[tags.length - 1])?.tags,
  };

  const options = {
    scenarios: {
      [name]: {
        executor: 'per-vu-iterations',
        vus: users,
        iterations: 1,
        maxDuration: `${endMs + config.settleMs + 10_000}ms`,
        gracefulStop: '0s',
      },
    },
    thresholds: {
      checks: ['rate>0.99'],
      chorus_delivery: [`p(95)<${config.deliveryP95Ms}`],
      chorus_finished: [`count==${users}`],
      chorus_sessions: ['rate==1'],
      chorus_received: ['count>0'],
      chorus_errors: ['count==0'],
      chorus_holes: ['count==0'],
      chorus_missed: ['count==0'],
      chorus_repeated: ['count==0'],
      chorus_unacked: ['count==0'],
      chorus_undelivered: ['count==0'],
      ...Object.fromEntries(
        phases.map(([phase]) => [`chorus_delivery{phase:${phase}}`, [`p(95)<${config.deliveryP95Ms}`]]),
      ),
      ...thresholds,
    },
    summaryTrendStats: ['count', 'med', 'p(95)', 'p(99)', 'max'],
  };

  // Told to every user: when the run began, and what tells its messages from others in the same rooms.
  function setup() {
    if (!config.token && !config.secret) {
      exec.test.abort('give CHORUS_JWT_SECRET (to mint tokens) or CHORUS_TOKEN');
    }
    const start = Date.now();
    return { run: `${start.toString(36)}-${Math.random().toString(36).slice(2, 8)}`, start };
  }

  function chat(test) {
    const index = exec.vu.idInTest - 1;
    const evenly = {
      arrive: (config.rampMs * index) / users,
      // Neighbours share a room. Dealt out in turn like URLs and source addresses, rooms would each live on one
      // gateway.
      room: Math.floor((index * config.rooms) / users),
    };
    new User(config, test, index, { ...usual, ...evenly, ...plan?.(index) }).start();
  }

  function handleSummary(data) {
    const text = report(name, config, users, data);
    const files = { stdout: text };
    for (const file of config.summaries) {
      files[file] = file.endsWith('.html') ? page(name, text, data) : JSON.stringify(data, null, 2);
    }
    return files;
  }

  return { options, setup, chat, handleSummary };
}
