import { useEffect, useId, useState } from "react";
import { Button } from "../ui/Button.tsx";
import { CheckField } from "../ui/Field.tsx";
import { Plot } from "../ui/Plot.tsx";
import { summary, type PingKind } from "./model/pings.ts";
import type { Session } from "./model/session.ts";

const EVERY_MS = 1_000;

/** Round trips, one by one or every second. */
export function PingPanel({ session }: { readonly session: Session }) {
  const [steady, setSteady] = useState(false);
  const title = useId();
  const { pings, pingable } = session;
  const numbers = summary(pings.points);

  useEffect(() => {
    if (!steady || !pingable) return;
    session.ping();
    const timer = setInterval(() => session.ping(), EVERY_MS);
    return () => clearInterval(timer);
  }, [steady, pingable, session]);

  return (
    <section className="panel ping" aria-labelledby={title}>
      <div className="panel-head">
        <h2 id={title}>Ping</h2>
        <CheckField label="Every second" checked={steady} onChange={(event) => setSteady(event.target.checked)} />
        <Button small disabled={!pingable} onClick={() => session.ping()}>
          Ping once
        </Button>
      </div>
      <Plot title="Round trip" series={[{ name: "last", points: pings.points.map(({ at, ms }) => ({ x: at, y: ms })) }]} format={millis} height={64} />
      <p className="small muted numbers">
        {numbers && `Least ${millis(numbers.least)}, median ${millis(numbers.median)}, most ${millis(numbers.most)} of ${pings.points.length}. `}
        {pings.lost > 0 && `${pings.lost} without answer. `}
        {pings.kind ? KINDS[pings.kind] : "A Chorus server answers with pong; of an echo, the text that comes back is measured."}
      </p>
    </section>
  );
}

const KINDS: Readonly<Record<PingKind, string>> = {
  pong: "Measured by this protocol's ping and pong.",
  echo: "Measured by a text that the server echoed.",
};

function millis(value: number): string {
  return `${value >= 100 ? Math.round(value) : Number(value.toFixed(1))} ms`;
}
