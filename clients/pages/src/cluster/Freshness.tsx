import { StatusDot } from "../ui/Badge.tsx";
import { freshness } from "./freshness.ts";
import { nameOf } from "./history.ts";
import type { View } from "./watch.ts";

/** Whether what is shown is how things stand. */
export function Freshness({ view, now }: { readonly view: View; readonly now: number }) {
  const { at, answeredBy, complete, nodes } = view.history;
  // An answer may have come since the clock was looked at.
  const { tone, text, short } = freshness({ at: at ?? now, since: view.since, now: Math.max(now, at ?? now), trouble: view.trouble, complete });
  const teller = nodes.find(({ id }) => id === answeredBy);
  return (
    <div className="cluster-fresh">
      <span className="unseen" role="status">
        {short}
      </span>
      <StatusDot tone={tone}>{text}</StatusDot>
      {tone === "good" && teller && <span className="muted small">told by {nameOf(teller)}</span>}
    </div>
  );
}
