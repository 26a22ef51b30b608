import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** The gateway that `npm run dev` speaks to. */
const gateway = process.env.CHORUS_GATEWAY ?? "http://127.0.0.1:8080";
const pages = new Set(["/tester", "/cluster"]);

export default defineConfig({
  // The page that a path gives here is the one that the gateway gives for it.
  appType: "mpa",
  plugins: [
    react(),
    {
      name: "pages-without-ending",
      configureServer(server) {
        server.middlewares.use((request, _, next) => {
          const [path, query] = (request.url ?? "").split("?");
          if (path !== undefined && pages.has(path)) request.url = `${path}.html${query === undefined ? "" : `?${query}`}`;
          next();
        });
      },
    },
  ],
  resolve: {
    // From its source, so that nothing has to be built before; the longer names first, for a name is also a prefix.
    alias: [
      { find: "chorus-client/timeline", replacement: here("../js/src/timeline.ts") },
      { find: "chorus-client/react", replacement: here("../js/react/index.ts") },
      { find: "chorus-client", replacement: here("../js/src/index.ts") },
    ],
    // The library's source lies in another workspace; its hooks must meet the React that the page has.
    dedupe: ["react", "react-dom"],
  },
  build: {
    outDir: process.env.CHORUS_PAGES_OUT ?? here("../../crates/gateway/pages"),
    emptyOutDir: true,
    // What these know of CSS (`light-dark()`, nesting) is used as it is.
    target: ["chrome123", "firefox120", "safari17.5"],
    // A data: URL would be a hole in the Content-Security-Policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: { input: { chat: here("index.html"), tester: here("tester.html"), cluster: here("cluster.html") } },
  },
  server: {
    host: "127.0.0.1",
    proxy: {
      "/ws": { target: gateway, ws: true },
      "/echo": { target: gateway, ws: true },
      // A string here would change the host, and the gateway then take the page for one of another site.
      "/v1": { target: gateway },
      // The token is given to this machine only, and not to what came through a proxy: it must look as if it came directly.
      "/dev/token": { target: gateway, changeOrigin: true },
      "/site.json": gateway,
      "/readyz": gateway,
      "/healthz": gateway,
    },
  },
});
