import { createRequire } from "node:module";
import { dirname } from "node:path";
import { defineConfig } from "vitest/config";

/** The hooks are tested with each React that they are for: the workspace's own, and that of `clients/react-18`. */
function react(major: string, from: string) {
  const require = createRequire(from);
  const alias = ["react", "react-dom"].map((name) => ({
    find: new RegExp(`^${name}(/|$)`),
    replacement: `${dirname(require.resolve(`${name}/package.json`))}$1`,
  }));
  // Its ES modules: a `require` in its other ones would find React by itself, and not the one that is meant.
  const library = dirname(createRequire(import.meta.url).resolve("@testing-library/react/package.json"));
  alias.push({ find: /^@testing-library\/react$/, replacement: `${library}/dist/@testing-library/react.esm.js` });
  return {
    resolve: { alias },
    test: {
      name: `react ${major}`,
      include: ["test/react/**/*.test.tsx"],
      environment: "happy-dom",
      env: { REACT: major },
      server: { deps: { inline: [/@testing-library\/react/] } },
    },
  };
}

export default defineConfig({
  test: {
    projects: [
      { test: { name: "core", include: ["test/**/*.test.ts"] } },
      react("19", import.meta.url),
      react("18", new URL("../react-18/package.json", import.meta.url).href),
    ],
  },
});
