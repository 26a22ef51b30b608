/** Measures what the client adds to an application's bundle, and fails when the core is too large. */
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const LIMIT = 6 * 1024;

const { outputFiles, metafile } = await build({
  entryPoints: [new URL("src/index.ts", import.meta.url).pathname],
  bundle: true,
  splitting: true,
  minify: true,
  format: "esm",
  target: "es2022",
  outdir: "out",
  metafile: true,
  write: false,
});
const [core, stream] = Object.values(metafile.outputs).map(({ entryPoint }, index) => ({
  entryPoint,
  ...sizes(outputFiles[index].contents),
}));
if (!core.entryPoint.endsWith("index.ts") || !stream.entryPoint.endsWith("stream.ts") || outputFiles.length > 2) {
  throw new Error(`what is measured is no longer what it was: ${Object.keys(metafile.outputs)}`);
}
console.log(`core: ${core.gzipped} bytes minified and gzipped, at most ${LIMIT} (${core.minified} minified)`);
console.log(`event stream, loaded where no WebSocket comes up: ${stream.gzipped} bytes (${stream.minified} minified)`);
if (core.gzipped > LIMIT) {
  console.error("the core is too large: make it smaller, or load a part of it later");
  process.exit(1);
}

function sizes(contents) {
  return { minified: contents.length, gzipped: gzipSync(contents, { level: 9 }).length };
}
