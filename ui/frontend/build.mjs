// Bundles the components of the pages into ui/bundle; `node build.mjs --check` only compares.
import { readFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = path.dirname(fileURLToPath(import.meta.url));
const checks = process.argv.includes("--check");

const { outputFiles } = await build({
  absWorkingDir: here,
  entryPoints: { cbir: "src/index.ts", map: "src/scene.ts" },
  outdir: path.join(here, "..", "bundle"),
  write: !checks,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  charset: "utf8",
  legalComments: "inline",
  loader: { ".css": "text" },
  jsx: "automatic",
  jsxImportSource: "preact",
  logLevel: "warning",
});

for (const { path: file, contents } of checks ? outputFiles : []) {
  const committed = await readFile(file).catch(() => null);
  if (committed === null || !committed.equals(contents)) {
    console.error(`${path.relative(process.cwd(), file)} is not what ui/frontend makes: run make bundle`);
    process.exitCode = 1;
  }
}
