import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { PATIENCE } from "./patience.ts";

const library = (path: string) => fileURLToPath(new URL(`../js/${path}`, import.meta.url));

export default defineConfig({
  resolve: {
    // From its source, so that nothing has to be built before; the longer names first, for a name is also a prefix.
    alias: [
      { find: "chorus-client/timeline", replacement: library("src/timeline.ts") },
      { find: "chorus-client/react", replacement: library("react/index.ts") },
      { find: "chorus-client", replacement: library("src/index.ts") },
    ],
    dedupe: ["react", "react-dom"],
  },
  // `e2e` is run with `--no-isolate`: to load Playwright anew for each file takes seconds of both cores.
  test: {
    maxWorkers: 2,
    // What is waited for has deadlines of its own, which say what did not come: these are for all of it together.
    testTimeout: 6 * PATIENCE,
    hookTimeout: 4 * PATIENCE,
    // Otherwise it would be a second, which a busy machine takes for anything.
    expect: { poll: { timeout: PATIENCE } },
  },
});
