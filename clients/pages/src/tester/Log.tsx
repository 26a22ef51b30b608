import { useCallback, useId, useState } from "react";
import { said } from "../ui/Complaint.tsx";
import { toast } from "../ui/Toast.tsx";
import { sinceStart, useNow } from "../ui/useNow.ts";
import { copy, download } from "./handout.ts";
import { LogBar } from "./LogBar.tsx";
import { LogList } from "./LogList.tsx";
import { bytesText, lines, payload } from "./model/export.ts";
import { BOUNDS, type Frame } from "./model/frames.ts";
import type { Session } from "./model/session.ts";
import type { Filter } from "./model/view.ts";

/** All that went both ways. */
export function Log({ session }: { readonly session: Session }) {
  const { view, log } = session;
  const [opened, setOpened] = useState<ReadonlySet<number>>(new Set());
  // Another filter or an emptied log is another list: what the old one measured says nothing about it.
  const [list, setList] = useState(0);
  const title = useId();

  const filter = (filter: Filter) => {
    view.setFilter(filter);
    setList((count) => count + 1);
    session.refresh();
  };
  const toggle = useCallback((n: number) => {
    setOpened((before) => {
      const after = new Set(before);
      if (!after.delete(n)) after.add(n);
      return after;
    });
  }, []);
  const copyOne = useCallback((frame: Frame) => void say(copy(payload(frame)), "Copied"), []);
  const clear = () => {
    session.clear();
    setOpened(new Set());
    setList((count) => count + 1);
  };

  return (
    <section className="log" aria-labelledby={title}>
      <h2 id={title} className="unseen">
        Frames
      </h2>
      <LogBar
        filter={view.filter}
        types={[...session.types]}
        paused={view.paused}
        held={view.held}
        shown={view.shown.length}
        onFilter={filter}
        onPause={(on) => {
          view.pause(on);
          session.refresh();
        }}
        onCopy={() => void say(copy(lines(view.shown)), `Copied ${view.shown.length.toLocaleString("en")} frames`)}
        onExport={() => download(`frames-${new Date().toISOString().replace(/[:.]/g, "-")}.jsonl`, lines(view.shown))}
        onClear={clear}
      />
      <LogList key={list} frames={view.shown} opened={opened} onToggle={toggle} onCopy={copyOne} empty={log.frames.length > 0 ? "No frame passes the filter." : "Nothing yet. Connect, and all that goes both ways stands here."} />
      <footer className="log-foot small muted numbers">
        <Traffic session={session} />
        <span>
          {view.shown.length.toLocaleString("en")} shown of {log.frames.length.toLocaleString("en")}
          {log.dropped > 0 && log.frames.length > 0 && `; older ones went: at most ${BOUNDS.frames.toLocaleString("en")} and ${bytesText(BOUNDS.bytes)} are kept`}
        </span>
      </footer>
    </section>
  );
}

function Traffic({ session: { phase, sent, received } }: { readonly session: Session }) {
  const now = useNow(500, phase.state === "open", sinceStart);
  return (
    <>
      <span>
        ↑ {sent.total.toLocaleString("en")} sent, {sent.perSecond(now).toFixed(1)}/s
      </span>
      <span>
        ↓ {received.total.toLocaleString("en")} received, {received.perSecond(now).toFixed(1)}/s
      </span>
    </>
  );
}

async function say(done: Promise<void>, text: string): Promise<void> {
  try {
    await done;
    toast(text, "good");
  } catch (error) {
    toast(`It could not be copied: ${said(error)}`, "bad");
  }
}
