// Turns src/*.js and ../static/css into ../static/build, which is never committed.
//
//   manifest.json   which file stands for "site.js", "site.css" …; `{% asset %}` reads it. Names carry a hash, so browsers keep them.
//   fonts           come from their npm packages: Latin, upright, one variable file a family.
//   icons           the sprite, under a name by its contents, too.
//   *.gz, *.br      of each script, style and sprite: sent to browsers that take them, so that nothing is compressed while somebody waits.
//   axe.min.js      is for the browser tests only; no page names it.

import { createHash } from "node:crypto"
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { basename, dirname, extname, join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { brotliCompressSync, gzipSync } from "node:zlib"
import { build, context } from "esbuild"

const here = dirname(fileURLToPath(import.meta.url))
const out = join(here, "../static/build")
const fonts = [
  "@fontsource-variable/atkinson-hyperlegible-next/files/atkinson-hyperlegible-next-latin-wght-normal.woff2",
  "@fontsource-variable/atkinson-hyperlegible-mono/files/atkinson-hyperlegible-mono-latin-wght-normal.woff2",
]
const entries = {
  site: "src/site.js",
  canvas: "src/canvas.js",
  builder: "src/builder.js",
  schema: "src/schema.js",
  "site-style": "../static/css/site.css",
  "canvas-style": "../static/css/canvas.css",
  "builder-style": "../static/css/builder.css",
}

/** Copies a file of static/ under a name by its contents, and gives that. */
async function named(file) {
  const content = await readFile(join(here, "../static", file))
  const name = `${basename(file, extname(file))}-${createHash("sha256").update(content).digest("hex").slice(0, 8).toUpperCase()}${extname(file)}`
  await writeFile(join(out, name), content)
  return name
}

async function compress() {
  for (const file of await readdir(out)) {
    if (!/-[A-Z0-9]{8}\.(js|css|svg)$/.test(file)) continue
    const content = await readFile(join(out, file))
    await writeFile(join(out, `${file}.gz`), gzipSync(content, { level: 9 }))
    await writeFile(join(out, `${file}.br`), brotliCompressSync(content))
  }
}

const manifest = {
  name: "manifest",
  setup(build) {
    build.onEnd(async ({ metafile }) => {
      const files = {}
      for (const [path, { entryPoint }] of Object.entries(metafile?.outputs ?? {})) {
        if (Object.values(entries).includes(entryPoint)) files[basename(entryPoint)] = relative(out, join(here, path))
        else if (path.endsWith(".woff2")) files[basename(path).replace(/-[A-Z0-9]{8}\./, ".")] = relative(out, join(here, path))
      }
      files["icons.svg"] = await named("icons.svg")
      await writeFile(join(out, "manifest.json"), JSON.stringify(files, null, 2) + "\n")
    })
  },
}

await rm(out, { recursive: true, force: true })
await mkdir(out, { recursive: true })
await copyFile(join(here, "node_modules/axe-core/axe.min.js"), join(out, "axe.min.js"))

const options = {
  absWorkingDir: here,
  entryPoints: Object.entries(entries).map(([name, path]) => ({ in: path, out: name })),
  alias: Object.fromEntries(fonts.map((file) => [`font:${basename(file).includes("mono") ? "mono" : "text"}`, join(here, "node_modules", file)])),
  outdir: out,
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  assetNames: "[name]-[hash]",
  loader: { ".woff2": "file" },
  external: ["/static/*"],
  bundle: true,
  splitting: true,
  format: "esm",
  minify: true,
  metafile: true,
  target: ["chrome123", "firefox121", "safari17.5"],
  legalComments: "none",
  logLevel: "warning",
  plugins: [manifest],
}

if (process.argv.includes("--watch")) await (await context(options)).watch()
else {
  await build(options)
  await compress()
}
