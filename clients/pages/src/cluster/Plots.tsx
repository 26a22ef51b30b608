import { Plot } from "../ui/Plot.tsx";
import { lines, SPAN_MS, type History, type Point } from "./history.ts";
import { latency, perSecond } from "./words.ts";

interface Drawn {
  readonly title: string;
  readonly value: (point: Point) => number | null;
  readonly format?: (value: number) => string;
}

const PLOTS: readonly Drawn[] = [
  { title: "Deliveries a second", value: (point) => point.deliveriesPerSecond },
  { title: "Messages appended a second", value: (point) => point.appendsPerSecond },
  { title: "Append latency, p99", value: ({ p99Us }) => p99Us && p99Us / 1000, format: (ms) => (ms === 0 ? "0" : latency(ms * 1000)) },
  { title: "Connections", value: (point) => point.connections },
];

/** The last five minutes, a line for each node. */
export function Plots({ history, now }: { readonly history: History; readonly now: number }) {
  return (
    <section className="cluster-part" aria-labelledby="plots">
      <h2 id="plots">The last five minutes</h2>
      <div className="cluster-plots">
        {PLOTS.map(({ title, value, format = short }) => (
          <div key={title} className="cluster-plot">
            <Plot title={title} series={lines(history, value)} from={now - SPAN_MS} to={now} format={format} height={150} />
          </div>
        ))}
      </div>
    </section>
  );
}

function short(value: number): string {
  return value >= 10_000 ? `${Number((value / 1000).toPrecision(3))}k` : perSecond(value);
}
