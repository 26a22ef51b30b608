import { useState } from "react";
import { Button } from "../ui/Button.tsx";
import { Dialog } from "../ui/Dialog.tsx";
import { SelectField, TextField } from "../ui/Field.tsx";
import type { Api } from "./api.ts";
import { ASKING, useAct } from "./useAct.ts";

type Deed = "disconnect" | "ban" | "unban" | "revoke";

const HOUR = 60 * 60_000;
const DURATIONS = [
  { value: String(HOUR / 6), name: "10 minutes" },
  { value: String(HOUR), name: "1 hour" },
  { value: String(24 * HOUR), name: "1 day" },
  { value: String(7 * 24 * HOUR), name: "7 days" },
  { value: "", name: "until it is lifted" },
] as const;

/** The same as the gateway takes. */
const USER = /^[A-Za-z0-9_.:#@|+=/-]{1,120}$/;
const REASON_LENGTH = 512;

const BUTTONS: readonly { readonly deed: Deed; readonly words: string; readonly danger: boolean }[] = [
  { deed: "disconnect", words: "Disconnect …", danger: false },
  { deed: "ban", words: "Ban …", danger: true },
  { deed: "revoke", words: "Revoke tokens …", danger: true },
  { deed: "unban", words: "Lift a ban …", danger: false },
];

/** What can be done to a user, on all nodes. */
export function Users({ api }: { readonly api: () => Api }) {
  const [user, setUser] = useState("");
  const [deed, setDeed] = useState<Deed | null>(null);
  const [odd, setOdd] = useState(false);
  const choose = (chosen: Deed) => {
    const good = USER.test(user.trim());
    setOdd(!good);
    if (good) setDeed(chosen);
  };
  return (
    <section className="cluster-part" aria-labelledby="users">
      <h2 id="users">A user</h2>
      <form className="cluster-user" onSubmit={(event) => event.preventDefault()}>
        <TextField
          label="User id"
          value={user}
          onChange={(event) => {
            setUser(event.target.value);
            setOdd(false);
          }}
          autoComplete="off"
          autoCapitalize="off"
          spellCheck={false}
          error={odd ? "A user id has 1 to 120 characters of A-Z a-z 0-9 _ . : # @ | + = / -" : undefined}
        />
        <div className="cluster-deeds">
          {BUTTONS.map(({ deed, words, danger }) => (
            <Button key={deed} look={danger ? "danger" : "plain"} onClick={() => choose(deed)}>
              {words}
            </Button>
          ))}
        </div>
      </form>
      {deed && <DeedDialog key={deed} deed={deed} user={user.trim()} api={api} onClose={() => setDeed(null)} />}
    </section>
  );
}

interface DeedDialogProps {
  readonly deed: Deed;
  readonly user: string;
  readonly api: () => Api;
  readonly onClose: () => void;
}

function DeedDialog({ deed, user, api, onClose }: DeedDialogProps) {
  const { busy, error, run } = useAct();
  const [reason, setReason] = useState("");
  const [duration, setDuration] = useState<string>(String(HOUR));
  const named = DURATIONS.find(({ value }) => value === duration)?.name ?? "";
  const { title, verb, effect, done, call } = {
    disconnect: {
      title: `Disconnect ${user}?`,
      verb: "Disconnect",
      effect: `All connections of ${user} are closed, on every node. It may connect again at once.`,
      done: `${user} was disconnected.`,
      call: () => api().disconnect(user, reason),
    },
    ban: {
      title: `Ban ${user}?`,
      verb: "Ban",
      effect: `All connections of ${user} are closed, on every node, and it may neither connect nor call until the ban is over or lifted.`,
      done: `${user} is banned${duration === "" ? ` ${named}` : ` for ${named}`}.`,
      call: () => api().ban(user, reason, duration === "" ? null : Number(duration)),
    },
    unban: {
      title: `Lift the ban of ${user}?`,
      verb: "Lift the ban",
      effect: `${user} may connect again. Nothing happens if there is no ban.`,
      done: `${user} is not banned.`,
      call: () => api().unban(user),
    },
    revoke: {
      title: `Revoke the tokens of ${user}?`,
      verb: "Revoke",
      effect: `Every token of ${user} that was issued until now is worthless, and the connections that came with one are closed. It may come back with a new one.`,
      done: `The tokens of ${user} are revoked.`,
      call: () => api().revoke(user),
    },
  }[deed];
  return (
    <Dialog open title={title} confirm={busy ? ASKING : verb} disabled={busy} error={error} onClose={onClose} onConfirm={() => run(call, done, onClose)}>
      <p>{effect}</p>
      {deed === "ban" && (
        <SelectField label="For how long" value={duration} onChange={(event) => setDuration(event.target.value)}>
          {DURATIONS.map(({ value, name }) => (
            <option key={name} value={value}>
              {name}
            </option>
          ))}
        </SelectField>
      )}
      {(deed === "ban" || deed === "disconnect") && (
        <TextField label="Reason" hint={`${user} is told. It may be left out.`} maxLength={REASON_LENGTH} value={reason} onChange={(event) => setReason(event.target.value)} autoComplete="off" />
      )}
    </Dialog>
  );
}
