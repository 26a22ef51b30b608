import "./EmojiPicker.css";
import { useEffect, useRef, type KeyboardEvent } from "react";

const EMOJI: readonly (readonly [string, string])[] = [
  ["👍", "thumbs up"], ["❤️", "heart"], ["😂", "tears of joy"], ["🎉", "party"], ["😮", "surprise"], ["😢", "sad"],
  ["👀", "eyes"], ["🙏", "thanks"], ["✅", "done"], ["❌", "no"], ["🤔", "thinking"], ["🔥", "fire"],
  ["🚀", "rocket"], ["👏", "applause"], ["🙌", "hooray"], ["💯", "hundred"], ["😍", "love it"], ["😅", "phew"],
  ["👎", "thumbs down"], ["💪", "strong"], ["☕", "coffee"], ["🐛", "bug"], ["✨", "sparkles"], ["👋", "wave"],
];
const COLUMNS = 6;
/** What the picker takes, in CSS pixels, so that it stays within the window. */
const SIZE = { width: 260, height: 180 };

interface EmojiPickerProps {
  /** What it opens beside. */
  readonly near: DOMRect;
  readonly onPick: (emoji: string) => void;
  readonly onClose: () => void;
}

/** A few emoji to answer with. It closes at Escape, and at a click elsewhere. */
export function EmojiPicker({ near, onPick, onClose }: EmojiPickerProps) {
  const picker = useRef<HTMLDivElement>(null);

  useEffect(() => {
    const element = picker.current;
    if (!element) return;
    const before = document.activeElement;
    const message = before?.closest<HTMLElement>("[data-index]");
    const closed = (event: Event) => (event as ToggleEvent).newState === "closed" && onClose();
    element.showPopover();
    element.querySelector("button")?.focus();
    element.addEventListener("toggle", closed);
    return () => {
      element.removeEventListener("toggle", closed);
      // The button that opened it went when its message lost the focus.
      const back = before?.isConnected ? before : message;
      if (back instanceof HTMLElement) back.focus({ preventScroll: true });
    };
  }, [onClose]);

  const move = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: COLUMNS, ArrowUp: -COLUMNS }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const buttons = Array.from(picker.current?.querySelectorAll("button") ?? []);
    buttons[buttons.findIndex((button) => button === document.activeElement) + step]?.focus();
  };

  const below = near.bottom + SIZE.height < innerHeight;
  const left = Math.max(8, Math.min(near.right - SIZE.width, innerWidth - SIZE.width - 8));
  const top = below ? near.bottom + 4 : Math.max(8, near.top - SIZE.height - 4);
  return (
    <div ref={picker} popover="auto" className="emoji" role="group" aria-label="Choose a reaction" style={{ left, top }} onKeyDown={move}>
      {EMOJI.map(([emoji, name]) => (
        <button key={emoji} type="button" aria-label={name} title={name} onClick={() => onPick(emoji)}>
          {emoji}
        </button>
      ))}
    </div>
  );
}
