import "./Plot.css";
import { useEffect, useRef, useState } from "react";
import { short, ticks } from "./scale.ts";

interface Series {
  readonly name: string;
  /** In time's order; `y` is null where nothing is known, and the line breaks there. */
  readonly points: readonly { readonly x: number; readonly y: number | null }[];
}

interface PlotProps {
  readonly title: string;
  readonly series: readonly Series[];
  /** What is at the left and the right edge; by default the first and the last point. */
  readonly from?: number;
  readonly to?: number;
  /** How a value is written; by default short, with `k` and `M`. */
  readonly format?: (value: number) => string;
  /** In CSS pixels. */
  readonly height?: number;
}

const LEFT = 44;
const PAD = 8;

/** Lines over time, from zero up. The legend says the newest values in text, which is also what a screen reader gets. */
export function Plot({ title, series, from, to, format = short, height = 120 }: PlotProps) {
  const [frame, width] = useWidth();
  const all = series.flatMap(({ points }) => points);
  const left = from ?? all.reduce((least, { x }) => Math.min(least, x), Infinity);
  const right = to ?? all.reduce((most, { x }) => Math.max(most, x), -Infinity);
  const marks = ticks(all.reduce((most, { x, y }) => (y !== null && x >= left ? Math.max(most, y) : most), 0));
  const top = marks.at(-1) ?? 1;
  const x = (value: number) => LEFT + (right > left ? (value - left) / (right - left) : 1) * (width - LEFT - PAD);
  const y = (value: number) => height - PAD - (value / top) * (height - 2 * PAD);
  return (
    <figure className="plot">
      <figcaption className="plot-head">
        <span className="plot-title">{title}</span>
        <span className="plot-legend">
          {series.map(({ name, points }, index) => (
            <span key={name} className={`plot-key hue-${hue(index)}`}>
              {name} <strong>{latest(points, format)}</strong>
            </span>
          ))}
        </span>
      </figcaption>
      <svg ref={frame} height={height} aria-hidden="true">
        {marks.map((mark) => (
          <g key={mark}>
            <line className="plot-grid" x1={LEFT} x2={width - PAD} y1={y(mark)} y2={y(mark)} />
            <text className="plot-tick" x={LEFT - 6} y={y(mark) + 4} textAnchor="end">
              {format(mark)}
            </text>
          </g>
        ))}
        {series.map(({ name, points }, index) => (
          <g key={name} className={`hue-${hue(index)}`}>
            {runs(points, left).map((run) => (
              <Run key={run[0]?.x} points={run.map((point) => ({ x: x(point.x), y: y(point.y) }))} floor={series.length === 1 ? y(0) : undefined} />
            ))}
          </g>
        ))}
      </svg>
    </figure>
  );
}

interface Dot {
  readonly x: number;
  readonly y: number;
}

/** An unbroken line; with a floor, what is below it is tinted. */
function Run({ points, floor }: { readonly points: readonly Dot[]; readonly floor: number | undefined }) {
  const [first] = points;
  const last = points.at(-1);
  if (!first || !last) return null;
  if (points.length === 1) return <circle className="plot-dot" cx={first.x} cy={first.y} r="2" />;
  const path = points.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
  return (
    <>
      {floor !== undefined && <polygon className="plot-area" points={`${first.x},${floor} ${path} ${last.x},${floor}`} />}
      <polyline className="plot-line" points={path} />
    </>
  );
}

/** The stretches without a hole. The point before the left edge is kept, so that the line comes in from outside. */
function runs(points: Series["points"], left: number): readonly Dot[][] {
  const found: Dot[][] = [[]];
  points.forEach(({ x, y }, index) => {
    if ((points[index + 1]?.x ?? x) < left) return;
    if (y === null) found.push([]);
    else found.at(-1)?.push({ x: Math.max(x, left), y });
  });
  return found.filter((run) => run.length > 0);
}

function latest(points: Series["points"], format: (value: number) => string): string {
  const value = points.at(-1)?.y;
  return value === null || value === undefined ? "–" : format(value);
}

/** Neighbours in the palette look alike, so lines take every third colour. */
function hue(index: number): number {
  return (4 + index * 3) % 8;
}

/** The width that an element has, in CSS pixels. */
function useWidth(): [React.RefObject<SVGSVGElement | null>, number] {
  const frame = useRef<SVGSVGElement>(null);
  const [width, setWidth] = useState(320);
  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    const observer = new ResizeObserver(([entry]) => entry && setWidth(entry.contentRect.width));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return [frame, width];
}
