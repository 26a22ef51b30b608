import { expect, test } from "vitest";
import type { ClusterAnswer, HotRoom, ListedNode, NodeStatus } from "./api.ts";
import { EMPTY, HOLE_MS, hottest, lines, isLive, newest, rate, shown, SPAN_MS, take, type History } from "./history.ts";

const START = 1_790_000_000_000;

function status(uptime: number, change: Partial<NodeStatus> = {}): NodeStatus {
  return {
    name: "a",
    version: "1.0.0",
    started_at_ms: START,
    uptime_ms: uptime,
    connections: 1,
    users: 1,
    rooms: 1,
    members: 1,
    draining: false,
    bus: { up: true, detail: "probes come back", holes_filled: 0, resets: 0, reconnects: 0 },
    appends: 0,
    deliveries: 0,
    slow_readers: 0,
    slow_closes: 0,
    hottest: [],
    ...change,
  };
}

function listed(id: string, of: NodeStatus, silent = 0): ListedNode {
  return { id, silent_ms: silent, ...of, name: id.replace(/~.*/, "") };
}

function answer(nodes: readonly ListedNode[], complete = true): ClusterAnswer {
  return { answered_by: nodes[0]?.id ?? "", complete, nodes };
}

function play(...answers: readonly (readonly [at: number, answer: ClusterAnswer])[]): History {
  return answers.reduce((history, [at, what]) => take(history, what, at), EMPTY);
}

test("a rate is the growth of a total by the node's own clock, however late the answers come", () => {
  expect(rate(status(1_000, { deliveries: 100 }), status(3_000, { deliveries: 700 }), "deliveries")).toBe(300);
  const history = play([0, answer([listed("a~1", status(1_000, { deliveries: 100 }))])], [5_000, answer([listed("a~1", status(3_000, { deliveries: 700, appends: 10 }))])]);
  const [node] = history.nodes;
  expect(node && newest(node)).toMatchObject({ deliveriesPerSecond: 300, appendsPerSecond: 5 });
});

test("what can't be told is no rate: the first word, a node that began anew, a clock or a total that went back", () => {
  expect(rate(null, status(1_000), "appends")).toBeNull();
  expect(rate(status(9_000, { appends: 500 }), status(1_000, { appends: 3, started_at_ms: START + 9_000 }), "appends")).toBeNull();
  expect(rate(status(2_000), status(2_000), "appends")).toBeNull();
  expect(rate(status(1_000, { appends: 5 }), status(2_000, { appends: 4 }), "appends")).toBeNull();
});

test("the same words again are no news", () => {
  const same = answer([listed("a~1", status(1_000))]);
  expect(play([0, same], [1_000, same], [2_000, same]).nodes[0]?.points).toHaveLength(1);
});

test("a node that comes back under its name takes the place of the one that is gone, and its line has a hole", () => {
  const b = listed("b~1", status(1_000));
  const history = play(
    [0, answer([listed("a~1", status(1_000, { deliveries: 1_000 })), b])],
    [2_000, answer([listed("a~1", status(3_000, { deliveries: 3_000 })), listed("b~1", status(3_000))])],
    [4_000, answer([listed("b~1", status(5_000))])],
  );
  expect(shown(history).map(({ id, state }) => [id, state])).toEqual([
    ["a~1", "gone"],
    ["b~1", "ready"],
  ]);
  expect(history.nodes.filter(isLive).map(({ id }) => id)).toEqual(["b~1"]);
  const [gone] = history.nodes;
  expect(gone && newest(gone)).toBeNull();

  const back = { started_at_ms: START + 5_000 };
  const after = take(take(history, answer([listed("a~2", status(500, { ...back, deliveries: 5 })), listed("b~1", status(7_000))]), 6_000), answer([listed("a~2", status(2_500, { ...back, deliveries: 25 })), listed("b~1", status(9_000))]), 8_000);
  expect(shown(after).map(({ id, state }) => [id, state])).toEqual([
    ["a~2", "ready"],
    ["b~1", "ready"],
  ]);
  const line = lines(after, (point) => point.deliveriesPerSecond).find(({ name }) => name === "a");
  expect(line?.points.map(({ y }) => y)).toEqual([null, 1_000, null, null, null, 10]);
});

test("without Redis nobody is said to be gone: it is not known", () => {
  const [a, b] = [listed("a~1", status(1_000)), listed("b~1", status(1_000))];
  const down = { up: false, detail: "refused", down_since_ms: START, holes_filled: 0, resets: 0, reconnects: 0 };
  const history = play([0, answer([a, b])], [1_000, answer([listed("a~1", status(2_000, { bus: down }))], false)]);
  expect(history.nodes.map(({ state }) => state)).toEqual(["bus down", "unknown"]);
  expect(shown(history)).toHaveLength(2);
  const again = take(history, answer([listed("a~1", status(3_000)), listed("b~1", status(3_000))]), 2_000);
  expect(again.nodes.map(({ state }) => state)).toEqual(["ready", "ready"]);
});

test("a node is draining before it is anything else, and silent when it has not been heard of for long", () => {
  const states = (of: ListedNode) => play([0, answer([of])]).nodes[0]?.state;
  expect(states(listed("a~1", status(1_000, { draining: true }), 5_000))).toBe("draining");
  expect(states(listed("a~1", status(1_000), 2_100))).toBe("ready");
  expect(states(listed("a~1", status(1_000), 4_100))).toBe("silent");
  expect(states({ id: "new~1", silent_ms: 0 })).toBe("ready");
});

test("after a hole, as of a page that was hidden, a line begins anew and no rate is made up", () => {
  const history = play(
    [0, answer([listed("a~1", status(1_000))])],
    [1_000, answer([listed("a~1", status(2_000, { deliveries: 10 }))])],
    [1_000 + HOLE_MS + 1, answer([listed("a~1", status(60_000, { deliveries: 100_000 }))])],
    [2_000 + HOLE_MS + 1, answer([listed("a~1", status(61_000, { deliveries: 100_020 }))])],
  );
  expect(history.nodes[0]?.points.map(({ deliveriesPerSecond }) => deliveriesPerSecond)).toEqual([null, 10, null, null, 20]);
});

test("what is older than the plots is forgotten", () => {
  let history = EMPTY;
  for (let second = 0; second < 1_000; second++) {
    const nodes = [listed("a~1", status(second * 1_000))];
    if (second < 10) nodes.push(listed("b~1", status(second * 1_000)));
    history = take(history, answer(nodes), second * 1_000);
  }
  expect(history.nodes.map(({ id }) => id)).toEqual(["a~1"]);
  const points = history.nodes[0]?.points ?? [];
  expect(points.length).toBeLessThanOrEqual(SPAN_MS / 1_000 + 3);
  expect(points.length).toBeGreaterThan(SPAN_MS / 1_000 - 3);
});

test("names are in the order that people give numbers", () => {
  const nodes = ["node-10~x", "node-9~x", "node-1~x"].map((id) => listed(id, status(1_000)));
  expect(play([0, answer(nodes)]).nodes.map(({ id }) => id)).toEqual(["node-1~x", "node-9~x", "node-10~x"]);
});

test("a room is as hot as its nodes make it together", () => {
  const hot = (room: string, members: number, rate: number): HotRoom => ({ room, members, messages_per_second: rate, deliveries_per_second: rate * members });
  const nodes = [listed("a~1", status(1_000, { hottest: [hot("x", 10, 5), hot("y", 40, 1)] })), listed("b~1", status(1_000, { hottest: [hot("x", 2, 4)] }))];
  const { nodes: records } = play([0, answer(nodes)]);
  expect(hottest(records, 10)).toEqual([
    { room: "x", nodes: 2, members: 12, messages_per_second: 5, deliveries_per_second: 58 },
    { room: "y", nodes: 1, members: 40, messages_per_second: 1, deliveries_per_second: 40 },
  ]);
  expect(hottest(records, 1)).toHaveLength(1);
});
