import "./Feed.css";
import { useCallback, useEffect, useImperativeHandle, useLayoutEffect, useRef, useState, type KeyboardEvent, type Ref } from "react";
import { Virtualizer, type VirtualizerHandle } from "virtua";
import type { GapEntry, TimelineState } from "chorus-client/react";
import { Button } from "../ui/Button.tsx";
import { Icon } from "../ui/Icon.tsx";
import { Above, Message, type MessageActions } from "./Message.tsx";
import type { Row } from "./rows.ts";

/** So near to an end, in CSS pixels, one is at it. */
const NEAR = 24;
/** So near to the beginning, what was before is loaded. */
const EARLY = 600;

interface FeedProps {
  readonly rows: readonly Row[];
  readonly older: TimelineState["older"];
  /** What is older could not be loaded: not before somebody says so it is tried again. */
  readonly failed: boolean;
  readonly me: string | undefined;
  readonly names: ReadonlyMap<string, string>;
  readonly actions: MessageActions;
  /** Messages below that were not seen yet. */
  readonly below: number;
  readonly handle: Ref<FeedHandle>;
  readonly onOlder: () => void;
  readonly onFill: (gap: GapEntry) => void;
  readonly onBottom: (bottom: boolean) => void;
  readonly onEscape: () => void;
}

export interface FeedHandle {
  /** Goes to the newest, and follows it. */
  toEnd(): void;
}

/** The messages: as many elements as fit the screen, however many there are. */
export function Feed({ rows, older, failed, me, names, actions, below, handle, onOlder, onFill, onBottom, onEscape }: FeedProps) {
  const list = useRef<VirtualizerHandle>(null);
  const scroller = useRef<HTMLDivElement>(null);
  /** Whether what comes below is followed. */
  const stuck = useRef(true);
  const before = useRef(0);
  const [bottom, setBottom] = useState(true);
  const [focused, setFocused] = useState<number>();
  const shift = useShift(rows);
  const [opened, setOpened] = useState(false);
  const wantsMore = older === "more" && !failed;

  const end = useCallback(() => list.current?.scrollToIndex(rows.length - 1, { align: "end" }), [rows.length]);

  const look = useCallback(
    (offset: number) => {
      const element = scroller.current;
      if (!element) return;
      // Where the end went on below, for more came than was drawn yet, it is still followed: nobody went up.
      const follows = element.scrollHeight - element.clientHeight - offset < NEAR || (stuck.current && offset >= before.current);
      before.current = offset;
      stuck.current = follows;
      setBottom(follows);
      onBottom(follows);
      if (offset < EARLY && wantsMore) onOlder();
    },
    [wantsMore, onOlder, onBottom],
  );

  // Where one comes in: at the first unread message, or at the end.
  useLayoutEffect(() => {
    if (opened || rows.length === 0) return;
    setOpened(true);
    const news = rows.findIndex((row) => row.news);
    if (news < 0) {
      end();
      return;
    }
    stuck.current = false;
    list.current?.scrollToIndex(news, { align: "center" });
    // When all fits the screen nothing scrolls, and yet this is the end.
    requestAnimationFrame(() => requestAnimationFrame(() => look(scroller.current?.scrollTop ?? 0)));
  }, [opened, rows, end, look]);

  useLayoutEffect(() => {
    if (opened && stuck.current) end();
  }, [opened, rows, end]);

  // A few messages do not fill the screen: then there is nothing to scroll by which one could ask for more.
  useEffect(() => {
    const element = scroller.current;
    if (opened && wantsMore && element && element.scrollTop < EARLY) onOlder();
  }, [opened, wantsMore, rows.length, onOlder]);

  // The field below grows, a phone shows its keyboard: what was at the end stays there.
  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const observer = new ResizeObserver(() => stuck.current && end());
    observer.observe(element);
    return () => observer.disconnect();
  }, [end]);

  const focusRow = useCallback(
    (index: number) => {
      const at = Math.max(0, Math.min(rows.length - 1, index));
      setFocused(at);
      list.current?.scrollToIndex(at, { align: "nearest" });
      // It is there after the list has drawn what it scrolled to.
      requestAnimationFrame(() => requestAnimationFrame(() => scroller.current?.querySelector<HTMLElement>(`[data-index="${at}"]`)?.focus({ preventScroll: true })));
    },
    [rows.length],
  );

  const toEnd = useCallback(() => {
    stuck.current = true;
    end();
  }, [end]);
  useImperativeHandle(handle, () => ({ toEnd }), [toEnd]);

  const keys = (event: KeyboardEvent<HTMLElement>) => {
    const target = event.target as HTMLElement;
    const article = target.closest<HTMLElement>("[data-index]");
    if (event.key === "Escape") return onEscape();
    if (!article && target !== scroller.current) return;
    const index = article ? Number(article.dataset.index) : rows.length;
    const steps: Readonly<Record<string, number>> = { ArrowUp: index - 1, ArrowDown: index + 1, Home: 0, End: rows.length - 1 };
    const next = steps[event.key];
    if (next === undefined || (!article && event.key !== "ArrowUp")) return;
    event.preventDefault();
    focusRow(next);
  };

  return (
    <div className="feed-frame">
      {older === "loading" && rows.length > 0 && (
        <p className="feed-loading" role="status">
          Loading earlier messages…
        </p>
      )}
      {older === "more" && failed && (
        <p className="feed-loading">
          Earlier messages could not be loaded.
          <Button small icon="retry" onClick={onOlder}>
            Try again
          </Button>
        </p>
      )}
      <div ref={scroller} className="feed" role="region" tabIndex={0} aria-label="Conversation" onKeyDown={keys}>
        <div className="feed-space" />
        {rows.length > 0 && (
          <div role="feed" aria-label="Messages" aria-busy={older === "loading"}>
            <Virtualizer
              ref={list}
              scrollRef={scroller}
              data={rows}
              shift={shift}
              bufferSize={400}
              onScroll={look}
              onResize={() => stuck.current && end()}
              {...(focused === undefined ? {} : { keepMounted: [Math.min(focused, rows.length - 1)] })}
            >
              {(row, index) =>
                row.entry.kind === "gap" ? (
                  <Gap key={row.key} row={row} gap={row.entry} index={index} onFill={onFill} />
                ) : (
                  <Message key={row.key} row={row} entry={row.entry} index={index} me={me} names={names} actions={actions} />
                )
              }
            </Virtualizer>
          </div>
        )}
      </div>
      {!bottom && (
        <button type="button" className="feed-down" onClick={toEnd}>
          {below > 0 ? `${below} new ${below === 1 ? "message" : "messages"}` : "To the newest"} <Icon name="down" size={15} />
        </button>
      )}
    </div>
  );
}

/** Whether these rows differ from those before by what came in front of them: then the view is held from its end. */
function useShift(rows: readonly Row[]): boolean {
  const before = useRef(rows);
  useLayoutEffect(() => {
    before.current = rows;
  }, [rows]);
  const old = before.current;
  if (old === rows || rows.length <= old.length) return false;
  return rows[0]?.key !== old[0]?.key && rows.at(-1)?.key === old.at(-1)?.key;
}

interface GapProps {
  readonly row: Row;
  readonly gap: GapEntry;
  readonly index: number;
  readonly onFill: (gap: GapEntry) => void;
}

/** A place where messages are missing. */
function Gap({ row, gap, index, onFill }: GapProps) {
  return (
    <article className="message" aria-posinset={index + 1} aria-setsize={-1} aria-label="Missing messages" tabIndex={-1} data-index={index} data-testid="gap">
      <Above row={row} />
      <div className="feed-gap">
        {gap.state === "lost" ? (
          <span>Here messages are missing that the server no longer has.</span>
        ) : (
          <>
            <span>{gap.error ? `Could not load them: ${gap.error.message}` : "Here messages are missing."}</span>
            <Button small disabled={gap.state === "loading"} onClick={() => onFill(gap)}>
              {gap.state === "loading" ? "Loading…" : "Load them"}
            </Button>
          </>
        )}
      </div>
    </article>
  );
}
