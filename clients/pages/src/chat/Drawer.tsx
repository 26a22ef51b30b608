import "./Drawer.css";
import { useEffect, useRef, type ReactNode } from "react";
import { IconButton } from "../ui/Button.tsx";

/** What stays in reach beside a drawer: a tap there closes it, and what is said to everybody. */
const STAYS = ".drawer-beside, [role=status]";

interface DrawerProps {
  readonly side: "left" | "right";
  readonly label: string;
  /** Where there is room the left one is always there. */
  readonly open: boolean;
  readonly onClose: () => void;
  readonly children: ReactNode;
}

/** A side of the page; on a narrow screen it lies over the rest, and goes at Escape or a tap beside it. */
export function Drawer({ side, label, open, onClose, children }: DrawerProps) {
  const drawer = useRef<HTMLElement>(null);

  useEffect(() => {
    const element = drawer.current;
    const liesOver = () => element !== null && getComputedStyle(element).position === "fixed";
    if (!open || !element || !liesOver()) return;
    const before = document.activeElement;
    const release = onlyIn(element);
    element.focus();
    // A dialog over it closes by itself.
    const escape = (event: KeyboardEvent) => event.key === "Escape" && !(event.target as Element).closest("dialog") && onClose();
    const resized = () => {
      if (!liesOver()) release();
    };
    addEventListener("keydown", escape);
    addEventListener("resize", resized);
    return () => {
      removeEventListener("keydown", escape);
      removeEventListener("resize", resized);
      release();
      if (before instanceof HTMLElement) before.focus();
    };
  }, [open, onClose]);

  return (
    <>
      <aside ref={drawer} className={`drawer drawer-${side}${open ? " drawer-open" : ""}`} aria-label={label} tabIndex={-1}>
        <IconButton label={`Close ${label.toLowerCase()}`} icon="close" className="drawer-close" onClick={onClose} />
        {children}
      </aside>
      {open && <div className={`drawer-beside drawer-beside-${side}`} onClick={onClose} aria-hidden="true" />}
    </>
  );
}

/** Takes all else from the keyboard and from screen readers; returns what gives it back. */
function onlyIn(element: HTMLElement): () => void {
  const rest: HTMLElement[] = [];
  for (let inside: Element = element; inside.parentElement && inside !== document.body; inside = inside.parentElement) {
    for (const beside of inside.parentElement.children) {
      if (beside === inside || !(beside instanceof HTMLElement) || beside.inert || beside.matches(STAYS)) continue;
      beside.inert = true;
      rest.push(beside);
    }
  }
  return () => {
    for (const one of rest.splice(0)) one.inert = false;
  };
}
