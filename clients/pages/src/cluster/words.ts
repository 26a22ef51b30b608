/** Numbers and times in words. */

/** `12 s`, `3 min`, `2 h 5 min`, `3 d 4 h`: the two largest units, of which seconds are left out past ten minutes. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (minutes === 0) return `${seconds} s`;
  if (minutes < 10) return two(minutes, "min", seconds % 60, "s");
  if (hours === 0) return `${minutes} min`;
  if (hours < 24) return two(hours, "h", minutes % 60, "min");
  return two(Math.floor(hours / 24), "d", hours % 24, "h");
}

function two(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}

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
