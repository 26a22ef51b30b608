import "./Page.css";
import type { ReactNode } from "react";
import { IconButton } from "./Button.tsx";
import { Toasts } from "./Toast.tsx";
import { useTheme, type Theme } from "./theme.ts";

const PAGES = [
  { id: "chat", name: "Chat", path: "/" },
  { id: "tester", name: "Tester", path: "/tester" },
  { id: "cluster", name: "Cluster", path: "/cluster" },
] as const;

interface PageProps {
  readonly current: (typeof PAGES)[number]["id"];
  /** What stands at the right of the header, before the switch of the theme. */
  readonly extra?: ReactNode;
  /** The page lays itself out over all there is and scrolls its own parts; without it there is one column that scrolls. */
  readonly full?: boolean;
  readonly children: ReactNode;
}

/** The frame of every page: the way to the others, the theme, the messages that pass by. */
export function Page({ current, extra, full = false, children }: PageProps) {
  return (
    <div className="page">
      <a className="page-skip" href="#main">
        Skip to the content
      </a>
      <header className="page-header">
        <div className="page-brand">
          <img src="/icon.svg" alt="" width="26" height="26" />
          <span>Chorus</span>
        </div>
        <nav className="page-nav" aria-label="Pages">
          {PAGES.map(({ id, name, path }) => (
            <a key={id} href={path} aria-current={id === current ? "page" : undefined}>
              {name}
            </a>
          ))}
        </nav>
        <div className="page-extra">
          {extra}
          <ThemeSwitch />
        </div>
      </header>
      <main id="main" className="page-main" tabIndex={-1}>
        {full ? children : <div className="page-main-inner">{children}</div>}
      </main>
      <Toasts />
    </div>
  );
}

const NEXT: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };
const ICON = { system: "half", light: "sun", dark: "moon" } as const;

function ThemeSwitch() {
  const [theme, choose] = useTheme();
  return <IconButton label={`Theme: ${theme}. Change to ${NEXT[theme]}.`} icon={ICON[theme]} onClick={() => choose(NEXT[theme])} />;
}
