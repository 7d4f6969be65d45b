// Bundles the site: node build.mjs DIRECTORY. Run by scripts/front-site beside node_modules.
// http://cdn.invalid stands for the second host; the server puts its real address there.
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { build } from "esbuild";

const out = process.argv[2];
await mkdir(out, { recursive: true });
await cp("public", out, { recursive: true });

const shared = { bundle: true, minify: true, logLevel: "warning", entryNames: "[name]-[hash]" };
const app = await build({
  ...shared,
  entryPoints: ["src/main.jsx"],
  outdir: path.join(out, "assets"),
  chunkNames: "[name]-[hash]",
  format: "esm",
  splitting: true,
  jsx: "automatic",
  target: "es2022",
  define: { "process.env.NODE_ENV": '"production"' },
  metafile: true,
});
await build({
  ...shared,
  entryNames: "[name]",
  entryPoints: ["src/fonts.css"],
  outdir: path.join(out, "cdn/fonts"),
  assetNames: "[name]-[hash]",
  loader: { ".woff2": "file", ".woff": "file" },
});

const [script] = Object.entries(app.metafile.outputs).find(
  ([, output]) => output.entryPoint === "src/main.jsx",
);
const page = path.join(out, "index.html");
const html = await readFile(page, "utf8");
await writeFile(page, html.replace("/assets/main.js", `/assets/${path.basename(script)}`));
