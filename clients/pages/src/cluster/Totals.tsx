import { isLive, newest, type NodeRecord } from "./history.ts";
import { bytes, count, latency, perSecond } from "./words.ts";

/** The whole cluster in a few numbers. */
export function Totals({ nodes }: { readonly nodes: readonly NodeRecord[] }) {
  const present = nodes.filter(isLive);
  const ready = present.filter(({ state }) => state === "ready").length;
  const sum = (value: (node: NodeRecord) => number | null | undefined) => present.reduce((total, node) => total + (value(node) ?? 0), 0);
  const slowest = Math.max(0, ...present.map(({ status }) => status?.append_latency?.p99_us ?? 0));
  const unknown = nodes.filter(({ state }) => state === "unknown").length;
  const of = ready === present.length ? "all ready" : `${ready} of ${present.length} ready`;
  return (
    <dl className="cluster-totals" aria-label="The whole cluster">
      <Total name="Nodes" value={count(present.length)} note={unknown > 0 ? `${unknown} more not known` : of} />
      <Total name="Connections" value={count(sum(({ status }) => status?.connections))} />
      <Total name="Users" value={count(sum(({ status }) => status?.users))} note={present.length > 1 ? "counted on each node" : undefined} />
      <Total name="Rooms" value={count(sum(({ status }) => status?.rooms))} note={present.length > 1 ? "counted on each node" : undefined} />
      <Total name="Deliveries" value={perSecond(sum((node) => newest(node)?.deliveriesPerSecond))} note="a second" />
      <Total name="Messages" value={perSecond(sum((node) => newest(node)?.appendsPerSecond))} note="appended a second" />
      <Total name="Append latency" value={slowest > 0 ? latency(slowest) : "–"} note="p99 of the slowest node" />
      <Total name="Memory" value={bytes(sum(({ status }) => status?.rss_bytes))} note="of all gateways" />
    </dl>
  );
}

function Total({ name, value, note }: { readonly name: string; readonly value: string; readonly note?: string | undefined }) {
  return (
    <div className="cluster-total">
      <dt>{name}</dt>
      <dd className="cluster-total-value">{value}</dd>
      {note && <dd className="cluster-total-note">{note}</dd>}
    </div>
  );
}
