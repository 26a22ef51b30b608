// A run as one page that needs nothing from elsewhere: the report, the thresholds, every metric.

import { failures, rules } from './report.js';

const STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
pre { background: #f4f4f4; padding: 0.5rem; overflow-x: auto; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { border-bottom: 1px solid #ddd; padding: 0.2rem 1rem 0.2rem 0; text-align: left; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.good { color: #176b2c; }
.bad { color: #a4161a; font-weight: bold; }`;

export function page(name, report, data) {
  const failed = failures(data).length;
  const verdict = failed ? ['bad', `${failed} thresholds failed`] : ['good', 'every threshold held'];
  const metrics = Object.entries(data.metrics).sort(([a], [b]) => (a < b ? -1 : 1));
  const trends = metrics.filter(([, { type }]) => type === 'trend');
  const others = metrics.filter(([, { type }]) => type !== 'trend');
  const stats = ['count', 'med', 'p(95)', 'p(99)', 'max'];
  const title = escape(`Chorus, k6: ${name}`);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>${title}</title>
<style>${STYLE}
</style>
<h1>${title}</h1>
<p>${new Date().toISOString()}, ${(data.state.testRunDurationMs / 1000).toFixed(1)} s</p>
<p class="${verdict[0]}">${verdict[1]}</p>
<pre>${escape(report.replace(/^\n|\s+$/g, ''))}</pre>
<h2>Thresholds</h2>
${table(['metric', 'rule', ''], rules(data).map(({ metric, rule, ok }) => [metric, rule, ok ? 'held' : 'FAILED']))}
<h2>Times</h2>
${table(['metric', ...stats], trends.map(([metric, { values }]) => [metric, ...stats.map((stat) => values[stat])]))}
<h2>Counts</h2>
${table(
  ['metric', 'count', 'rate'],
  others.map(([metric, { values }]) => [metric, values.count ?? values.passes ?? values.value, values.rate]),
)}
</html>
`;
}

function table(head, rows) {
  const cells = (row) => row.map((value) => (typeof value === 'number' ? number(value) : text(value))).join('');
  const heads = head.map((value) => `<th>${escape(value)}</th>`).join('');
  return `<table>\n<tr>${heads}</tr>\n${rows.map((row) => `<tr>${cells(row)}</tr>\n`).join('')}</table>`;
}

function number(value) {
  return `<td class="number">${Number.isInteger(value) ? value : value.toFixed(2)}</td>`;
}

function text(value = '') {
  const mark = { held: ' class="good"', FAILED: ' class="bad"' }[value] ?? '';
  return `<td${mark}>${escape(value)}</td>`;
}

function escape(value) {
  return String(value).replace(/[&<>"]/g, (found) => `&#${found.charCodeAt(0)};`);
}
