/** Numbers and times in words. */

/** A time in microseconds as one in milliseconds or seconds, to two digits. */
export function latency(us: number): string {
  const ms = us / 1000;
  if (ms >= 1000) return `${Number((ms / 1000).toPrecision(2))} s`;
  return `${Number(ms.toPrecision(2))} ms`;
}

/** A whole number with its thousands apart. */
export function count(value: number): string {
  return value.toLocaleString("en");
}

/** A rate: whole numbers from ten on, one decimal below. */
export function perSecond(value: number): string {
  return value >= 10 ? count(Math.round(value)) : String(Number(value.toFixed(1)));
}

export function bytes(value: number): string {
  const mebibytes = value / 2 ** 20;
  return mebibytes >= 1024 ? `${(mebibytes / 1024).toFixed(1)} GiB` : `${Math.round(mebibytes)} MiB`;
}

/** `1 node`, `2 nodes`. */
export function many(value: number, one: string, more = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : more}`;
}
