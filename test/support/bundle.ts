import { mkdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, type Plugin } from 'esbuild'

/** Inside the package, so that bundles find its dependencies. */
const FOLDER = fileURLToPath(new URL('../../node_modules/.cache/corral-tests', import.meta.url))

/** Labs that a program shares with tests import these for what only tests call, and to load them takes longer than all the rest. */
const IF_USED: Plugin = {
  name: 'if used',
  setup({ onResolve }) {
    onResolve({ filter: /^(vitest|esbuild)$/ }, ({ path }) => ({ path, external: true, sideEffects: false }))
  },
}

const made = new Map<string, Promise<string>>()

/**
 * Makes one file of a module and all that it imports of this repository; returns its path. For what runs in a process or thread of its
 * own: it starts in a fraction of the time that a loader of TypeScript takes.
 *
 * @param edit changes the code on its way; `name` tells bundles of one module apart.
 */
export function bundle(module: URL, edit?: Plugin): Promise<string> {
  const entry = fileURLToPath(module)
  const outfile = join(FOLDER, `${basename(entry, '.ts')}-${edit?.name ?? 'plain'}-${process.pid}.mjs`)
  const known = made.get(outfile)
  if (known !== undefined) return known
  const making = make(entry, outfile, edit === undefined ? [] : [edit])
  made.set(outfile, making)
  return making
}

async function make(entry: string, outfile: string, edits: readonly Plugin[]): Promise<string> {
  mkdirSync(FOLDER, { recursive: true })
  await build({
    entryPoints: [entry],
    ...{ outfile, bundle: true, platform: 'node', format: 'esm', packages: 'external', logLevel: 'silent' },
    plugins: [IF_USED, ...edits],
  })
  return outfile
}
