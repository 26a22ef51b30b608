import "./cluster.css";
import { useState, useSyncExternalStore } from "react";
import { Button, IconButton } from "../ui/Button.tsx";
import { Page } from "../ui/Page.tsx";
import { sinceStart, useNow } from "../ui/useNow.ts";
import { DrainDialog } from "./DrainDialog.tsx";
import { Freshness } from "./Freshness.tsx";
import { isLive, shown, type NodeRecord } from "./history.ts";
import { HotRooms } from "./HotRooms.tsx";
import { KeyForm } from "./KeyForm.tsx";
import { Nodes } from "./Nodes.tsx";
import { Plots } from "./Plots.tsx";
import { Totals } from "./Totals.tsx";
import { useMatches } from "./useMatches.ts";
import { Users } from "./Users.tsx";
import type { View, Watch } from "./watch.ts";

export function ClusterPage({ watch }: { readonly watch: Watch }) {
  const view = useSyncExternalStore(watch.subscribe, watch.view);
  const narrow = useMatches("(max-width: 40rem)");
  const forget = view.hasKey && view.phase === "watching" && <Forget narrow={narrow} onForget={() => watch.lock()} />;
  return (
    <Page current="cluster" extra={forget}>
      <div className="cluster">
        <h1>Cluster</h1>
        {view.phase === "locked" && <KeyForm refusal={view.refusal} onKey={(key) => watch.unlock(key)} />}
        {view.phase === "asking" && <p className="cluster-note">{view.trouble === null ? "Asking the gateway …" : `The gateway does not tell: ${view.trouble}. Retrying.`}</p>}
        {view.phase === "watching" && <Live watch={watch} view={view} />}
      </div>
    </Page>
  );
}

function Forget({ narrow, onForget }: { readonly narrow: boolean; readonly onForget: () => void }) {
  const words = "Forget the key";
  if (narrow) return <IconButton label={words} icon="leave" onClick={onForget} />;
  return (
    <Button look="quiet" small icon="leave" onClick={onForget}>
      {words}
    </Button>
  );
}

function Live({ watch, view }: { readonly watch: Watch; readonly view: View }) {
  const now = useNow(1_000, true, sinceStart);
  const [draining, setDraining] = useState<NodeRecord | null>(null);
  const { history } = view;
  const nodes = shown(history);
  const alive = history.nodes.filter(isLive);
  return (
    <>
      <Freshness view={view} now={now} />
      <Totals nodes={nodes} />
      <Nodes nodes={nodes} answeredBy={history.answeredBy} now={now} onDrain={setDraining} />
      <Plots history={history} now={now} />
      <HotRooms nodes={alive} />
      <Users api={() => watch.api} />
      <DrainDialog
        node={draining}
        others={alive.filter((node) => node.id !== draining?.id && node.state === "ready").length}
        api={() => watch.api}
        onClose={() => {
          setDraining(null);
          watch.refresh();
        }}
      />
    </>
  );
}
