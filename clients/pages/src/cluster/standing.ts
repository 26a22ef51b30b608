import type { Tone } from "../ui/Badge.tsx";
import type { NodeRecord } from "./history.ts";
import { span } from "../ui/span.ts";
import { many } from "./words.ts";

/** How a node stands, in a word and, where there is more to say, a few. `now` is the page's own clock, `wall` that of the day. */
export function standing(node: NodeRecord, now: number, wall: number): { readonly tone: Tone; readonly word: string; readonly more?: string } {
  const { status } = node;
  switch (node.state) {
    case "ready":
      return { tone: "good", word: "ready" };
    case "draining": {
      const since = status?.draining_since_ms === undefined ? "" : `for ${span(wall - status.draining_since_ms)}, `;
      return { tone: "warn", word: "draining", more: `${since}${many(status?.connections ?? 0, "connection")} left` };
    }
    case "bus down": {
      const since = status?.bus.down_since_ms === undefined ? "" : `for ${span(wall - status.bus.down_since_ms)}: `;
      return { tone: "bad", word: "bus down", more: `${since}${status?.bus.detail ?? ""}` };
    }
    case "silent":
      return { tone: "warn", word: "silent", more: `not heard of for ${span(node.silentMs + now - node.seenAt)}` };
    case "unknown":
      return { tone: "plain", word: "not known", more: `seen ${span(now - node.seenAt)} ago` };
    case "gone":
      return { tone: "plain", word: "gone", more: `seen ${span(now - node.seenAt)} ago` };
  }
}
