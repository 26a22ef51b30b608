import { useEffect, useId, useState, type FormEvent } from "react";
import { StatusDot } from "../ui/Badge.tsx";
import { Button } from "../ui/Button.tsx";
import { Complaint, said } from "../ui/Complaint.tsx";
import { SelectField, TextField } from "../ui/Field.tsx";
import { askSite, guestToken } from "../ui/site.ts";
import { inBrowser } from "../ui/storage.ts";
import { useNow } from "../ui/useNow.ts";
import { CloseNote } from "./CloseNote.tsx";
import type { Phase, Session } from "./model/session.ts";
import { saveAddress, savedAddresses } from "./model/storage.ts";
import { addressHere, target, type AuthBy } from "./model/target.ts";

/** Where to, who one is, and how it stands. */
export function Connection({ session }: { readonly session: Session }) {
  const [address, setAddress] = useState(() => addressHere(location, "/ws"));
  const [subprotocols, setSubprotocols] = useState("chorus.v1");
  const [token, setToken] = useState("");
  const [authBy, setAuthBy] = useState<AuthBy>("first frame");
  const [known, setKnown] = useState(() => savedAddresses(inBrowser));
  const [complaint, setComplaint] = useState("");
  const [guests, setGuests] = useState(false);
  const suggestions = useId();
  const { phase } = session;
  const idle = phase.state === "idle" || phase.state === "closed";

  useEffect(() => {
    askSite().then(
      (site) => setGuests(site.guests),
      // Then there is no button; whatever else is wrong shows when one connects.
      () => undefined,
    );
  }, []);

  const take = (value: string) => {
    setToken(value);
    session.token = value.trim();
  };
  const connect = (event: FormEvent) => {
    event.preventDefault();
    setComplaint("");
    try {
      const wanted = target({ address, subprotocols, token, authBy }, location);
      session.open(wanted);
      setKnown(saveAddress(inBrowser, wanted.url));
    } catch (error) {
      setComplaint(said(error));
    }
  };
  const askForGuest = async () => {
    setComplaint("");
    try {
      take(await guestToken(`tester-${crypto.getRandomValues(new Uint32Array(1)).join()}`, "Tester"));
    } catch (error) {
      setComplaint(said(error));
    }
  };

  return (
    <section className="panel" aria-labelledby={`${suggestions}-title`}>
      <h2 id={`${suggestions}-title`} className="unseen">
        Connection
      </h2>
      <form className="panel-form" onSubmit={connect}>
        <TextField label="Address" value={address} onChange={(event) => setAddress(event.target.value)} list={suggestions} inputMode="url" autoCapitalize="off" autoComplete="off" spellCheck={false} />
        <datalist id={suggestions}>
          {[...new Set([addressHere(location, "/ws"), addressHere(location, "/echo"), ...known])].map((value) => (
            <option key={value} value={value} />
          ))}
        </datalist>
        <div className="pair">
          <TextField label="Subprotocols" value={subprotocols} onChange={(event) => setSubprotocols(event.target.value)} placeholder="none" autoCapitalize="off" autoComplete="off" spellCheck={false} />
          <SelectField label="Send the token" value={authBy} onChange={(event) => setAuthBy(event.target.value as AuthBy)}>
            <option value="first frame">as first frame</option>
            <option value="subprotocol">as subprotocol</option>
          </SelectField>
        </div>
        <div className="beside">
          {/* Not a password, which browsers would offer to keep. */}
          <TextField label="Token" value={token} onChange={(event) => take(event.target.value)} placeholder="none" autoCapitalize="off" autoComplete="off" spellCheck={false} />
          {guests && (
            <Button onClick={() => void askForGuest()} title="This gateway is in development mode">
              Guest token
            </Button>
          )}
        </div>
        <Complaint text={complaint} />
        <div className="connection-foot">
          <Standing session={session} />
          {idle ? (
            <Button key="connect" type="submit" look="primary">
              Connect
            </Button>
          ) : (
            <Button key="disconnect" look={phase.state === "open" ? "danger" : "plain"} disabled={phase.state === "closing"} onClick={() => session.close()}>
              {phase.state === "connecting" ? "Cancel" : "Disconnect"}
            </Button>
          )}
        </div>
      </form>
      {phase.state === "closed" && <CloseNote close={phase.close} farewell={phase.farewell} />}
    </section>
  );
}

function Standing({ session: { phase, welcome } }: { readonly session: Session }) {
  const now = useNow(1_000, phase.state === "open");
  return (
    <div className="standing">
      <StatusDot tone={TONES[phase.state]} hollow={phase.state !== "open"}>
        {phase.state === "open" ? `Open for ${duration(now - phase.at)}` : WORDS[phase.state]}
      </StatusDot>
      {phase.state === "open" && (
        <p className="muted small">
          {phase.protocol || "no subprotocol"}
          {welcome && `, ${welcome.user} on ${welcome.node}`}
        </p>
      )}
    </div>
  );
}

const TONES = { idle: "plain", connecting: "warn", open: "good", closing: "warn", closed: "plain" } as const;
const WORDS: Readonly<Record<Exclude<Phase["state"], "open">, string>> = { idle: "Not connected", connecting: "Connecting…", closing: "Closing…", closed: "Closed" };

function duration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  const two = (value: number): string => String(value).padStart(2, "0");
  return seconds < 3_600 ? `${Math.floor(seconds / 60)}:${two(seconds % 60)}` : `${Math.floor(seconds / 3_600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}
