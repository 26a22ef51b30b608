import { useCallback, useLayoutEffect, useRef, useState, type KeyboardEvent } from "react";
import { flushSync } from "react-dom";
import { Virtualizer, type VirtualizerHandle } from "virtua";
import { Button } from "../ui/Button.tsx";
import { LogRow } from "./LogRow.tsx";
import type { Frame } from "./model/frames.ts";

interface Props {
  readonly frames: readonly Frame[];
  /** The numbers of those that are shown whole. */
  readonly opened: ReadonlySet<number>;
  readonly onToggle: (n: number) => void;
  readonly onCopy: (frame: Frame) => void;
  readonly empty: string;
}

/** A closed row on a desk, in CSS pixels; others are measured when they are seen. */
const ROW = 29;
/** So near to its end the list follows it. */
const NEAR = 8;

/** The rows, of which only those in sight exist. It follows the newest until one scrolls back. */
export function LogList({ frames, opened, onToggle, onCopy, empty }: Props) {
  const list = useRef<VirtualizerHandle>(null);
  const frame = useRef<HTMLDivElement>(null);
  const [following, setFollowing] = useState(true);
  /** The row that Tab comes to. */
  const [cursor, setCursor] = useState<number>();
  const last = frames.at(-1)?.n;
  const offset = useRef(0);

  const toEnd = useCallback(() => list.current?.scrollToIndex(frames.length - 1, { align: "end" }), [frames.length]);
  useLayoutEffect(() => {
    if (following && last !== undefined) toEnd();
  }, [following, last, toEnd]);

  const scrolled = (to: number) => {
    const handle = list.current;
    if (!handle) return;
    const atEnd = to >= handle.scrollSize - handle.viewportSize - NEAR;
    // Only who scrolls back wants to stay: rows that grow, or a window that shrinks, move the end away and nobody meant it.
    if (atEnd || to < offset.current) setFollowing(atEnd);
    offset.current = to;
  };
  // Whoever opens a row wants to read it, and not that it is carried away.
  const toggle = useCallback(
    (n: number) => {
      setFollowing(false);
      onToggle(n);
    },
    [onToggle],
  );
  const index = cursor === undefined ? -1 : find(frames, cursor);
  const keys = (event: KeyboardEvent) => {
    const to = { ArrowDown: Math.min(index + 1, frames.length - 1), ArrowUp: index < 0 ? frames.length - 1 : Math.max(index - 1, 0), Home: 0, End: frames.length - 1 }[event.key];
    // Inside of what is opened the arrows scroll, as anywhere.
    if (to === undefined || event.target instanceof HTMLPreElement) return;
    const next = frames[to];
    if (!next) return;
    event.preventDefault();
    // At once, so that a key that comes in the same moment meets the new row; the list keeps the cursor's row wherever it is.
    flushSync(() => {
      setFollowing(to === frames.length - 1);
      setCursor(next.n);
    });
    list.current?.scrollToIndex(to, { align: "nearest" });
    frame.current?.querySelector<HTMLElement>(`[data-n="${next.n}"]`)?.focus({ preventScroll: true });
  };

  return (
    <div className="log-frame">
      {/* Its rows are many and quick: they are not read out as they come. */}
      <div ref={frame} className="log-scroll" role="log" aria-live="off" aria-label="Frames" tabIndex={0} onKeyDown={keys} onWheel={({ deltaY }) => deltaY < 0 && setFollowing(false)}>
        {frames.length === 0 ? (
          <p className="log-empty muted">{empty}</p>
        ) : (
          <Virtualizer ref={list} data={frames} itemSize={ROW} onScroll={scrolled} onResize={() => following && toEnd()} keepMounted={index < 0 ? [] : [index]}>
            {(frame) => <LogRow key={frame.n} frame={frame} opened={opened.has(frame.n)} reachable={frame.n === cursor} onFocus={setCursor} onToggle={toggle} onCopy={onCopy} />}
          </Virtualizer>
        )}
      </div>
      {!following && last !== undefined && (
        <Button small icon="down" className="log-to-end" onClick={() => setFollowing(true)}>
          To the newest
        </Button>
      )}
    </div>
  );
}

/** Where the frame of a number stands, or -1. */
function find(frames: readonly Frame[], n: number): number {
  let low = 0;
  let high = frames.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((frames[middle]?.n ?? Infinity) < n) low = middle + 1;
    else high = middle;
  }
  return frames[low]?.n === n ? low : -1;
}
