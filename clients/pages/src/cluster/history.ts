/** What the nodes said over the last minutes. Pure: an answer and a time in, the next state out. */
import { hasStatus, type ClusterAnswer, type HotRoom, type NodeStatus } from "./api.ts";

/** How far back the plots reach. */
export const SPAN_MS = 5 * 60_000;

/** A longer silence between two answers is a hole in a line: what was in it is not known. */
export const HOLE_MS = 6_000;

/** Of one moment; what could not be measured is null. */
export interface Point {
  /** When the answer came, in ms by the page's own clock. */
  readonly at: number;
  readonly connections: number | null;
  readonly deliveriesPerSecond: number | null;
  readonly appendsPerSecond: number | null;
  readonly p99Us: number | null;
}

/** `unknown`: the answer was by a node that, without Redis, knows of nobody else. */
type NodeState = "ready" | "draining" | "bus down" | "silent" | "unknown" | "gone";

export interface NodeRecord {
  readonly id: string;
  /** The last that it said; none in its first second. */
  readonly status: NodeStatus | null;
  readonly state: NodeState;
  /** How long it has not been heard of, as the answering node sees it. */
  readonly silentMs: number;
  /** When it was listed last, by the page's own clock. */
  readonly seenAt: number;
  readonly points: readonly Point[];
}

export interface History {
  /** In the order of their names, those of one name in the order in which they came. */
  readonly nodes: readonly NodeRecord[];
  readonly answeredBy: string | null;
  readonly complete: boolean;
  /** When the last answer came. */
  readonly at: number | null;
}

export const EMPTY: History = { nodes: [], answeredBy: null, complete: true, at: null };

/** A node speaks every second and is heard of every two: past that something holds it up. */
const SILENT_MS = 4_000;

/** Takes in an answer that came at `now`. */
export function take(history: History, answer: ClusterAnswer, now: number): History {
  const before = new Map(history.nodes.map((node) => [node.id, node]));
  const listed = answer.nodes.map((node): NodeRecord => {
    const known = before.get(node.id);
    const status = hasStatus(node) ? statusOf(node) : (known?.status ?? null);
    const points = recent(known?.points ?? [], now);
    // The same words again are no news: the node has not spoken since.
    const isNews = status !== null && status.uptime_ms !== known?.status?.uptime_ms;
    return {
      id: node.id,
      status,
      state: stateOf(status, node.silent_ms),
      silentMs: node.silent_ms,
      seenAt: now,
      points: isNews ? [...points, ...pointsOf(known, status, now)] : points,
    };
  });
  const live = new Set(listed.map(({ id }) => id));
  const names = new Set(listed.map(nameOf));
  const others = history.nodes
    .filter((node) => !live.has(node.id) && now - node.seenAt < SPAN_MS)
    .map((node): NodeRecord => ({ ...node, state: answer.complete ? "gone" : node.state === "gone" ? "gone" : "unknown", points: recent(node.points, now) }))
    // A node that came back under its name is no news any more, but its line is.
    .filter((node) => node.state !== "gone" || !names.has(nameOf(node)) || node.points.length > 0);
  const nodes = [...others, ...listed].sort((one, other) => nameOf(one).localeCompare(nameOf(other), "en", { numeric: true }));
  return { nodes, answeredBy: answer.answered_by, complete: answer.complete, at: now };
}

/** The name of a node; in its first second the part of its id that stands for it. */
export function nameOf({ id, status }: { readonly id: string; readonly status: NodeStatus | null }): string {
  return status?.name ?? id.replace(/~[^~]*$/, "");
}

/** The nodes that are to be shown: one that is gone only until another comes in its place. */
export function shown(history: History): readonly NodeRecord[] {
  const present = new Set(history.nodes.filter(({ state }) => state !== "gone").map(nameOf));
  const gone = new Map(history.nodes.filter(({ state }) => state === "gone").map((node) => [nameOf(node), node.id]));
  return history.nodes.filter((node) => node.state !== "gone" || (!present.has(nameOf(node)) && gone.get(nameOf(node)) === node.id));
}

/** Whether it lives, as far as that is known. */
export function isLive({ state }: NodeRecord): boolean {
  return state !== "gone" && state !== "unknown";
}

/** A line for each name. Those who had a name one after the other make one line, with a hole between them. */
export function lines(history: History, value: (point: Point) => number | null): { name: string; points: { x: number; y: number | null }[] }[] {
  const byName = new Map<string, { x: number; y: number | null }[]>();
  for (const node of history.nodes) {
    const points = byName.get(nameOf(node)) ?? [];
    const last = points.at(-1);
    if (last && node.points[0]) points.push({ x: last.x, y: null });
    points.push(...node.points.map((point) => ({ x: point.at, y: value(point) })));
    if (node.state === "gone" && points.length > 0) points.push({ x: points.at(-1)?.x ?? 0, y: null });
    byName.set(nameOf(node), points);
  }
  // Two that live under one name speak in turns.
  for (const points of byName.values()) points.sort((one, other) => one.x - other.x);
  return Array.from(byName, ([name, points]) => ({ name, points }));
}

/** The newest value of a node; null if it is not known, or the node is not there any more. */
export function newest(node: NodeRecord): Point | null {
  return isLive(node) ? (node.points.at(-1) ?? null) : null;
}

/** A room as all nodes see it that name it among their hottest. */
export interface WarmRoom extends HotRoom {
  /** How many nodes name it. */
  readonly nodes: number;
}

/** The hottest rooms of the cluster. Each node counts its own members; an event reaches every node that follows the room. */
export function hottest(nodes: readonly NodeRecord[], most: number): readonly WarmRoom[] {
  const rooms = new Map<string, WarmRoom>();
  for (const hot of nodes.flatMap(({ status }) => status?.hottest ?? [])) {
    const known = rooms.get(hot.room);
    rooms.set(hot.room, {
      room: hot.room,
      nodes: (known?.nodes ?? 0) + 1,
      members: (known?.members ?? 0) + hot.members,
      messages_per_second: Math.max(known?.messages_per_second ?? 0, hot.messages_per_second),
      deliveries_per_second: (known?.deliveries_per_second ?? 0) + hot.deliveries_per_second,
    });
  }
  const order = (one: WarmRoom, other: WarmRoom) => other.deliveries_per_second - one.deliveries_per_second || one.room.localeCompare(other.room);
  return [...rooms.values()].sort(order).slice(0, most);
}

function stateOf(status: NodeStatus | null, silentMs: number): NodeState {
  if (status?.draining) return "draining";
  if (silentMs > SILENT_MS) return "silent";
  return status && !status.bus.up ? "bus down" : "ready";
}

function statusOf(node: { readonly id: string; readonly silent_ms: number } & NodeStatus): NodeStatus {
  const { id: _, silent_ms: __, ...status } = node;
  return status;
}

function recent(points: readonly Point[], now: number): readonly Point[] {
  // The one before the left edge is kept, for the line to come in from there.
  const first = points.findIndex(({ at }) => at >= now - SPAN_MS);
  return first < 0 ? points.slice(-1).filter(({ at }) => at >= now - 2 * SPAN_MS) : points.slice(Math.max(0, first - 1));
}

/** The point of what a node says now, behind a hole if too little is known of the time before. */
function pointsOf(known: NodeRecord | undefined, status: NodeStatus, now: number): readonly Point[] {
  const point: Point = {
    at: now,
    connections: status.connections,
    deliveriesPerSecond: rate(known?.status, status, "deliveries"),
    appendsPerSecond: rate(known?.status, status, "appends"),
    p99Us: status.append_latency?.p99_us ?? null,
  };
  const last = known?.points.at(-1);
  if (!last || now - last.at <= HOLE_MS) return [point];
  // A rate over a hole is an average of what nobody saw.
  return [{ at: now, connections: null, deliveriesPerSecond: null, appendsPerSecond: null, p99Us: null }, { ...point, deliveriesPerSecond: null, appendsPerSecond: null }];
}

/** How fast a total grows, by the node's own clock; null if that can't be told, as of a node that began anew. */
export function rate(before: NodeStatus | null | undefined, now: NodeStatus, total: "deliveries" | "appends"): number | null {
  if (!before || before.started_at_ms !== now.started_at_ms) return null;
  const elapsed = now.uptime_ms - before.uptime_ms;
  const grown = now[total] - before[total];
  return elapsed > 0 && grown >= 0 ? (grown / elapsed) * 1000 : null;
}
