import "./tester.css";
import { useEffect } from "react";
import { announce } from "../ui/Toast.tsx";
import { Composer } from "./Composer.tsx";
import { Connection } from "./Connection.tsx";
import { Log } from "./Log.tsx";
import { explain } from "./model/closes.ts";
import { Session, type Phase } from "./model/session.ts";
import { PingPanel } from "./PingPanel.tsx";
import { useSession } from "./useSession.ts";

/** One for as long as the page is open: what was connected stays, whatever is drawn anew. */
const session = new Session();

/** A WebSocket by hand: where to, what to send, and all that goes both ways. */
export function Tester() {
  useSession(session);
  const { phase } = session;
  useEffect(() => announce(words(phase)), [phase]);
  return (
    <div className="tester">
      <h1 className="unseen">WebSocket tester</h1>
      <div className="tester-side">
        <Connection session={session} />
        <Composer session={session} />
      </div>
      <Log session={session} />
      <PingPanel session={session} />
    </div>
  );
}

/** For who does not see it. */
function words(phase: Phase): string {
  switch (phase.state) {
    case "idle":
      return "";
    case "connecting":
      return "Connecting";
    case "open":
      return "Connected";
    case "closing":
      return "Closing";
    case "closed": {
      const { code, reason } = phase.close;
      return `Closed, ${code} ${reason}. ${explain(phase.close).meaning}`;
    }
  }
}
