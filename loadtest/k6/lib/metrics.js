// What is counted. Every threshold and every line of a report is about one of these.

import { Counter, Rate, Trend } from 'k6/metrics';

// From `send` in one user to the event in another, or in itself: one process, one clock. Tagged with `phase` where a
// script has phases. What a join replays is not in it.
export const delivery = new Trend('chorus_delivery', true);
// From `send` to its `ok`.
export const ack = new Trend('chorus_ack', true);
// From the start of a user's first connect to the `ok` of its join.
export const ready = new Trend('chorus_ready', true);
// From the end of a connection to the `ok` of the join that resumes it.
export const back = new Trend('chorus_back', true);

export const sent = new Counter('chorus_sent');
export const acked = new Counter('chorus_acked');
export const unacked = new Counter('chorus_unacked');
export const received = new Counter('chorus_received');
// Those of them that a join replayed.
export const replayed = new Counter('chorus_replayed');
// Acknowledged, but never seen by its own sender.
export const undelivered = new Counter('chorus_undelivered');
// Events whose number was not the last one's plus one: something was lost, repeated, or out of order.
export const holes = new Counter('chorus_holes');
// Numbers below the room's last one that had not come when a user left.
export const missed = new Counter('chorus_missed');
// Own messages that came under two numbers, or not in the order in which they were said.
export const repeated = new Counter('chorus_repeated');
// Connections that the users cut themselves, and those that something else ended or that never came to be. Only where
// users come back: elsewhere the latter are errors.
export const cuts = new Counter('chorus_cuts');
export const lost = new Counter('chorus_lost');
// `error` and `reset` frames, joins that did not resume, and connections that ended for good. Tagged with `kind`.
export const errors = new Counter('chorus_errors');
// Users that came to their end, good or bad: what the others do not count is in no other metric.
export const finished = new Counter('chorus_finished');
// Users that got into their room and, at the end, out of it.
export const sessions = new Rate('chorus_sessions');
