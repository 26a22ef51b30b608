/** Measures what an application's bundle gets of the core, and fails when that is too much. */
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const LIMIT = 6 * 1024;

const { outputFiles } = await build({
  entryPoints: [new URL("src/index.ts", import.meta.url).pathname],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  write: false,
});
const { contents } = outputFiles[0];
const size = gzipSync(contents, { level: 9 }).length;
console.log(`core: ${contents.length} bytes minified, ${size} bytes gzipped (at most ${LIMIT})`);
if (size > LIMIT) process.exit(1);
