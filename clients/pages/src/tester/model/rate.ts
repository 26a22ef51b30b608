/** How many a second, over the last two seconds, in tenths of one. */
const SPAN = 2000;
const STEP = 100;

export class Rate {
  #buckets: { readonly from: number; count: number }[] = [];
  #total = 0;

  get total(): number {
    return this.#total;
  }

  add(now: number): void {
    this.#total += 1;
    const from = now - (now % STEP);
    const last = this.#buckets.at(-1);
    if (last?.from === from) last.count += 1;
    else {
      this.#buckets.push({ from, count: 1 });
      if (this.#buckets.length > SPAN / STEP + 1) this.#buckets.shift();
    }
  }

  perSecond(now: number): number {
    const recent = this.#buckets.filter(({ from }) => from > now - SPAN - STEP && from <= now);
    const oldest = recent[0];
    if (!oldest) return 0;
    const count = recent.reduce((sum, bucket) => sum + bucket.count, 0);
    // At the beginning less than the span has gone by; but a single one is no rate of ten.
    return (count * 1000) / Math.max(1000, Math.min(SPAN, now - oldest.from));
  }
}
