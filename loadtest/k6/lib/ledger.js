// What one user has said, and what has come back of it: for each message one `ok` and one event, with one number.

import { acked, repeated, sent, undelivered, unacked } from './metrics.js';

export class Ledger {
  // Two runs may mint the same users, and messages' ids are per user: `prefix` carries the run.
  constructor(prefix) {
    this.prefix = prefix;
    this.count = 0;
    this.last = 0;
    // ref -> the numbers in its `ok` and in its event; until both are there.
    this.open = new Map();
  }

  say() {
    this.open.set(++this.count, { ok: null, event: null });
    sent.add(1);
    return this.count;
  }

  id(ref) {
    return this.prefix + ref;
  }

  // Those to send again after a reconnect, in the order in which they were said. Their ids make it safe.
  unanswered() {
    return [...this.open].filter(([, entry]) => entry.ok === null).map(([ref]) => ref);
  }

  // Returns what is wrong, if anything is.
  ok(ref, seq) {
    const entry = this.open.get(ref);
    if (!entry || entry.ok !== null) return 'ok to nothing';
    acked.add(1);
    entry.ok = seq;
    return this.close(ref, entry);
  }

  // Likewise.
  event(id, seq) {
    if (!id?.startsWith(this.prefix)) return null;
    const ref = Number(id.slice(this.prefix.length));
    const entry = this.open.get(ref);
    // Sent again or not, the first that is appended of a message comes before the first of the next.
    if (!entry || entry.event !== null || ref <= this.last) {
      repeated.add(1);
      return 'own message came again, or late';
    }
    this.last = ref;
    entry.event = seq;
    return this.close(ref, entry);
  }

  close(ref, entry) {
    if (entry.ok === null || entry.event === null) return null;
    this.open.delete(ref);
    return entry.ok === entry.event ? null : 'ok and event differ';
  }

  // Counts what never came.
  settle() {
    const unanswered = this.unanswered().length;
    unacked.add(unanswered);
    undelivered.add([...this.open.values()].filter((entry) => entry.ok !== null && entry.event === null).length);
  }
}
