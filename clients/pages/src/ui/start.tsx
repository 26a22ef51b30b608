import "./theme.css";
import { StrictMode, type ReactNode } from "react";
import { createRoot } from "react-dom/client";

/** Shows a page. Every entry begins with it, and gets the visual language by it. */
export function start(page: ReactNode): void {
  const root = document.getElementById("root");
  if (root) createRoot(root).render(<StrictMode>{page}</StrictMode>);
}
