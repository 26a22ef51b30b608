import type { ReactNode } from "react";
import { Badge, StatusDot } from "../ui/Badge.tsx";
import { Button } from "../ui/Button.tsx";
import { span } from "../ui/span.ts";
import { Table } from "../ui/Table.tsx";
import { isLive, nameOf, newest, type NodeRecord } from "./history.ts";
import { standing } from "./standing.ts";
import { useMatches } from "./useMatches.ts";
import { bytes, count, latency, many, perSecond } from "./words.ts";

interface NodesProps {
  readonly nodes: readonly NodeRecord[];
  readonly answeredBy: string | null;
  readonly now: number;
  readonly onDrain: (node: NodeRecord) => void;
}

interface Figure {
  readonly head: string;
  readonly number?: boolean;
  readonly cell: (node: NodeRecord) => ReactNode;
}

/** A row for each node; where that is too narrow, a card. */
export function Nodes({ nodes, answeredBy, now, onDrain }: NodesProps) {
  const narrow = useMatches("(max-width: 80rem)");
  const state: Figure = { head: "State", cell: (node) => <State node={node} now={now} /> };
  const name = (node: NodeRecord) => (
    <span className="cluster-name">
      <strong>{nameOf(node)}</strong>
      {node.id === answeredBy && <Badge tone="info">answers</Badge>}
    </span>
  );
  const drain = (node: NodeRecord) => {
    const may = isLive(node) && node.state !== "draining";
    return (
      <Button look="danger" small disabled={!may} aria-label={`Drain ${nameOf(node)}`} onClick={() => onDrain(node)}>
        Drain …
      </Button>
    );
  };
  return (
    <section className="cluster-part" aria-labelledby="nodes">
      <h2 id="nodes">Nodes</h2>
      {narrow ? (
        <ul className="cluster-cards">
          {nodes.map((node) => (
            <li key={node.id} className="cluster-card">
              <div className="cluster-card-head">
                {name(node)}
                {drain(node)}
              </div>
              {state.cell(node)}
              <dl className="cluster-figures">
                {FIGURES.map(unlessGone).map(({ head, cell }) => (
                  <div key={head}>
                    <dt>{head}</dt>
                    <dd>{cell(node)}</dd>
                  </div>
                ))}
              </dl>
            </li>
          ))}
        </ul>
      ) : (
        <Table
          caption="Nodes"
          captionUnseen
          columns={[{ head: "Node", cell: name }, state, ...FIGURES.map(unlessGone), { head: "Action", cell: drain }]}
          rows={nodes}
          rowKey={({ id }) => id}
          empty="No node has said anything of itself yet."
        />
      )}
    </section>
  );
}

function State({ node, now }: { readonly node: NodeRecord; readonly now: number }) {
  const { tone, word, more } = standing(node, now, Date.now());
  return (
    <div className="cluster-state">
      <StatusDot tone={tone} hollow={!isLive(node)}>
        {word}
      </StatusDot>
      {more && <div className="cluster-sub">{more}</div>}
    </div>
  );
}

/** A number and, smaller, what belongs to it. */
function Both({ main, sub, wide = false }: { readonly main: ReactNode; readonly sub: ReactNode; readonly wide?: boolean }) {
  return (
    <div className={wide ? "cluster-both wide" : "cluster-both"}>
      <div>{main}</div>
      <div className="cluster-sub">{sub}</div>
    </div>
  );
}

/** A node that is gone has no figures any more. */
function unlessGone(figure: Figure): Figure {
  return { ...figure, cell: (node) => (node.state === "gone" ? "–" : figure.cell(node)) };
}

const FIGURES: readonly Figure[] = [
  { head: "Up for", cell: ({ status }) => (status ? <Both main={span(status.uptime_ms)} sub={`version ${status.version}`} /> : "–") },
  {
    head: "Connections",
    number: true,
    cell: ({ status }) => (status ? <Both main={count(status.connections)} sub={`${many(status.users, "user")}, ${many(status.rooms, "room")}`} /> : "–"),
  },
  {
    head: "Deliveries/s",
    number: true,
    cell: (node) => {
      const point = newest(node);
      if (!point || point.deliveriesPerSecond === null) return "–";
      return <Both main={perSecond(point.deliveriesPerSecond)} sub={`${perSecond(point.appendsPerSecond ?? 0)} messages/s`} />;
    },
  },
  {
    head: "Append p99",
    number: true,
    cell: ({ status }) => {
      const times = status?.append_latency;
      return times ? <Both main={latency(times.p99_us)} sub={`p50 ${latency(times.p50_us)}, p99.9 ${latency(times.p999_us)}`} wide /> : <Both main="–" sub="nothing appended" wide />;
    },
  },
  {
    head: "Bus",
    cell: ({ status }) =>
      status ? <Both main={status.bus.up ? "up" : "down"} sub={`${many(status.bus.holes_filled, "hole")}, ${many(status.bus.resets, "reset")}`} /> : "–",
  },
  {
    head: "Slow readers",
    number: true,
    cell: ({ status }) => (status ? <Both main={count(status.slow_readers)} sub={`${count(status.slow_closes)} closed`} /> : "–"),
  },
  { head: "Memory", number: true, cell: ({ status }) => (status?.rss_bytes === undefined ? "–" : bytes(status.rss_bytes)) },
];
