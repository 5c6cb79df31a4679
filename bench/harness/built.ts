import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'tsup'

const BENCH = fileURLToPath(new URL('..', import.meta.url))
/** Inside the package, so that what is built finds its dependencies. */
const CACHE = fileURLToPath(new URL('../../.cache', import.meta.url))

let folder: string | undefined

/**
 * Builds what runs in processes of its own, with the tool that builds the package: measured is what is shipped, and not what a
 * development loader makes of it (tsx gives every inner function its name anew, each time it is made).
 */
export async function buildWorkers(): Promise<void> {
  mkdirSync(CACHE, { recursive: true })
  const outDir = mkdtempSync(join(CACHE, 'bench-'))
  process.on('exit', () => rmSync(outDir, { recursive: true, force: true }))
  const files = readdirSync(BENCH, { recursive: true, encoding: 'utf8' })
  await build({
    config: false,
    silent: true,
    // Theirs are the only instances that know one another.
    external: [/^@opentelemetry\//],
    entry: files
      .filter((file) => /-(worker|contenders)\.ts$/.test(file) && !file.includes('node_modules'))
      .map((file) => join(BENCH, file)),
    format: 'esm',
    target: 'node20',
    platform: 'node',
    splitting: true,
    removeNodeProtocol: false,
    outDir,
  })
  folder = outDir
}

/** Where `module` lies once it is built; itself, when nothing was built. */
export function builtModule(module: URL): URL {
  if (folder === undefined) return module
  const name = basename(fileURLToPath(module), '.ts')
  const built = readdirSync(folder, { recursive: true, encoding: 'utf8' }).find(
    (file) => basename(file) === `${name}.js` || basename(file) === `${name}.mjs`,
  )
  return built === undefined ? module : pathToFileURL(join(folder, built))
}
