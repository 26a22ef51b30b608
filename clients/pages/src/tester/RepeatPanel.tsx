import { useEffect, useState, type FormEvent } from "react";
import { Button } from "../ui/Button.tsx";
import { Complaint, said } from "../ui/Complaint.tsx";
import { TextField } from "../ui/Field.tsx";
import { announce } from "../ui/Toast.tsx";
import { sinceStart, useNow } from "../ui/useNow.ts";
import { MOST_PER_SECOND, plan } from "./model/repeat.ts";
import type { Run, Session } from "./model/session.ts";

interface Props {
  readonly session: Session;
  readonly text: string;
  /** Whether what is written can be sent at all. */
  readonly possible: boolean;
}

/** Sends what is written again and again, at a rate. */
export function RepeatPanel({ session, text, possible }: Props) {
  const [rate, setRate] = useState("10");
  const [count, setCount] = useState("100");
  const [complaint, setComplaint] = useState("");
  const { run } = session;
  const running = run !== undefined && run.ending === undefined;
  const ending = run?.ending;

  useEffect(() => {
    if (ending) announce(ending.how === "done" ? "All were sent" : "Sending again and again has ended");
  }, [ending]);

  const begin = (event: FormEvent) => {
    event.preventDefault();
    try {
      session.repeat(text, plan(rate, count));
      setComplaint("");
    } catch (error) {
      setComplaint(said(error));
    }
  };
  return (
    <form className="repeat" onSubmit={begin}>
      <div className="repeat-bar">
        <TextField label="Per second" inputMode="decimal" value={rate} onChange={(event) => setRate(event.target.value)} title={`At most ${MOST_PER_SECOND}`} />
        <TextField label="Times" inputMode="numeric" value={count} onChange={(event) => setCount(event.target.value)} placeholder="no end" />
        {/* Two buttons, by their keys: one that became a submit button while it is clicked would begin anew at once. */}
        {running ? (
          <Button key="stop" look="danger" onClick={() => run.repeat.stop()}>
            Stop
          </Button>
        ) : (
          <Button key="repeat" type="submit" icon="retry" disabled={!possible}>
            Repeat
          </Button>
        )}
      </div>
      <Complaint text={complaint} />
      {run && <Counters session={session} run={run} />}
    </form>
  );
}

function Counters({ session, run }: { readonly session: Session; readonly run: Run }) {
  const now = useNow(500, run.ending === undefined, sinceStart);
  const { sent, plan } = run.repeat;
  const received = session.received.total - run.receivedBefore;
  const rate = (measured: number): string => (run.ending ? "" : `, ${measured.toFixed(1)}/s`);
  return (
    <p className="small numbers repeat-counters">
      <span>
        Sent <strong>{sent.toLocaleString("en")}</strong>
        {plan.count !== undefined && ` of ${plan.count.toLocaleString("en")}`}
        {rate(session.sent.perSecond(now))}
      </span>
      <span>
        Received since <strong>{received.toLocaleString("en")}</strong>
        {rate(session.received.perSecond(now))}
      </span>
      {run.ending && <span className="muted">{endingWords(run.ending)}</span>}
    </p>
  );
}

function endingWords(ending: NonNullable<Run["ending"]>): string {
  if (ending.how === "failed") return `ended: ${said(ending.error)}`;
  return ending.how;
}
