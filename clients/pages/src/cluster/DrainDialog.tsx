import { Dialog } from "../ui/Dialog.tsx";
import type { Api } from "./api.ts";
import { nameOf, type NodeRecord } from "./history.ts";
import { ASKING, useAct } from "./useAct.ts";
import { many } from "./words.ts";

interface DrainDialogProps {
  readonly node: NodeRecord | null;
  /** How many nodes are ready besides. */
  readonly others: number;
  readonly api: () => Api;
  readonly onClose: () => void;
}

export function DrainDialog({ node, others, api, onClose }: DrainDialogProps) {
  const { busy, error, run, reset } = useAct();
  if (!node) return null;
  const name = nameOf(node);
  const connections = node.status?.connections ?? 0;
  const clients = connections === 0 ? "Nobody is connected to it" : `Its ${many(connections, "connection")} are told to come back by another node and miss nothing`;
  const close = () => {
    reset();
    onClose();
  };
  return (
    <Dialog
      open
      title={`Drain ${name}?`}
      confirm={busy ? ASKING : `Drain ${name}`}
      disabled={busy}
      error={error}
      onClose={close}
      onConfirm={() => run(() => api().drain(node.id), `${name} was told to drain.`, close)}
    >
      <p>
        It takes nobody any more and ends. {clients}. Whatever runs the gateway may start it again.
      </p>
      {others === 0 && <p className="cluster-warning">No other node is ready: whoever is on it will find nobody until one is.</p>}
    </Dialog>
  );
}
