// The few lines at the end of a run.

export function report(name, config, users, data) {
  const count = (metric) => data.metrics[metric]?.values.count ?? 0;
  const times = (metric) => {
    const values = data.metrics[metric]?.values;
    if (!values?.count) return 'none';
    const ms = (stat) => `${Math.round(values[stat])} ms`;
    return `median ${ms('med')}, p95 ${ms('p(95)')}, p99 ${ms('p(99)')}, max ${ms('max')}`;
  };
  const phases = Object.keys(data.metrics)
    .map((metric) => /^chorus_delivery\{phase:(.*)\}$/.exec(metric))
    .filter(Boolean)
    .map(([metric, phase]) => [`  ${phase}`, `${times(metric)}, of ${count(metric)}`])
    .sort();
  const returns = [
    ['cut', `${count('chorus_cuts')}, lost otherwise ${count('chorus_lost')}, replayed ${count('chorus_replayed')}`],
    ['back', times('chorus_back')],
  ];
  const broken = failures(data);
  const lines = [
    [name, `${users} users in ${config.rooms} rooms, over ${config.urls.join(', ')}`],
    ['sent', `${count('chorus_sent')}, acknowledged ${count('chorus_acked')}, never ${count('chorus_unacked')}`],
    ['received', `${count('chorus_received')}, holes ${count('chorus_holes')}, missed ${count('chorus_missed')}`],
    ['own ones', `never ${count('chorus_undelivered')}, repeated ${count('chorus_repeated')}`],
    ...(count('chorus_cuts') + count('chorus_lost') > 0 ? returns : []),
    ['errors', count('chorus_errors')],
    ['delivery', times('chorus_delivery')],
    ...phases,
    ['ok', times('chorus_ack')],
    ['connected', times('chorus_ready')],
    broken.length ? ['FAILED', broken.join('; ')] : ['passed', 'every threshold'],
  ];
  return `\n${lines.map(([what, says]) => `  ${what.padEnd(11)} ${says}\n`).join('')}\n`;
}

// The thresholds that did not hold.
export function failures(data) {
  return rules(data)
    .filter(({ ok }) => !ok)
    .map(({ metric, rule }) => `${metric} ${rule}`);
}

export function rules(data) {
  return Object.entries(data.metrics).flatMap(([metric, { thresholds }]) =>
    Object.entries(thresholds ?? {}).map(([rule, { ok }]) => ({ metric, rule, ok })),
  );
}
