import "./Drawer.css";
import { useEffect, useRef, type ReactNode } from "react";
import { IconButton } from "../ui/Button.tsx";

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
    if (!open || !element || getComputedStyle(element).position !== "fixed") return;
    const before = document.activeElement;
    element.focus();
    const escape = (event: KeyboardEvent) => event.key === "Escape" && onClose();
    addEventListener("keydown", escape);
    return () => {
      removeEventListener("keydown", escape);
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
