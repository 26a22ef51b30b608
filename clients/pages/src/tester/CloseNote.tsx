import { Badge } from "../ui/Badge.tsx";
import { AGAIN, explain, type Again, type Close } from "./model/closes.ts";
import type { Farewell } from "./model/session.ts";

/** Why a connection ended, in words. */
export function CloseNote({ close, farewell }: { readonly close: Close; readonly farewell: Farewell | undefined }) {
  const { name, meaning, again, advice } = explain(close);
  const tone = close.code === 1000 ? "plain" : again === "no" ? "bad" : "warn";
  return (
    <div className={`close-note tone-${tone}`}>
      <h3>
        <span className="numbers">{close.code}</span> {close.reason && <code>{close.reason}</code>} <span className="muted">{name}</span>
      </h3>
      <p>{meaning}</p>
      {farewell?.message !== undefined && <p>The server said: “{farewell.message}”</p>}
      <p>
        <Badge tone={TONES[again]}>{AGAIN[again]}</Badge>
        {farewell?.retryAfterMs !== undefined && <span className="small"> after {(farewell.retryAfterMs / 1_000).toLocaleString("en")} s</span>}
      </p>
      <p className="muted">{advice}</p>
    </div>
  );
}

const TONES: Readonly<Record<Again, "bad" | "good" | "warn" | "info">> = { no: "bad", yes: "good", later: "warn", "new token": "info" };
