import { Table, type Column } from "../ui/Table.tsx";
import { hottest, type NodeRecord, type WarmRoom } from "./history.ts";
import { count, many, perSecond } from "./words.ts";

const MOST = 10;

const COLUMNS: readonly Column<WarmRoom>[] = [
  { head: "Room", cell: ({ room }) => <span className="cluster-room mono">{room}</span> },
  { head: "Deliveries/s", number: true, cell: (room) => perSecond(room.deliveries_per_second) },
  { head: "Messages/s", number: true, cell: (room) => perSecond(room.messages_per_second) },
  { head: "Members", number: true, cell: ({ members }) => count(members) },
  { head: "Nodes", number: true, cell: ({ nodes }) => count(nodes) },
];

/** The rooms that make the most work. */
export function HotRooms({ nodes }: { readonly nodes: readonly NodeRecord[] }) {
  return (
    <section className="cluster-part" aria-labelledby="rooms">
      <h2 id="rooms">Hottest rooms</h2>
      <Table
        caption="Hottest rooms"
        captionUnseen
        columns={COLUMNS}
        rows={hottest(nodes, MOST)}
        rowKey={({ room }) => room}
        empty="Nothing was said in any room in the last seconds."
      />
      <p className="muted small">
        In the last three seconds, by {many(nodes.length, "node")}. Members are connections; a room counts on those nodes where it is one of the ten hottest.
      </p>
    </section>
  );
}
