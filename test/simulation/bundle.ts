import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { build, type Plugin } from 'esbuild'

/** One exact replacement in one file of `src`. */
export interface SourceEdit {
  /** Below `src`. */
  readonly file: string
  /** Text that is there exactly once. */
  readonly replace: string
  readonly by: string
}

const ROOT = new URL('../..', import.meta.url).pathname
const CACHE = join(ROOT, 'node_modules/.cache/corral-simulation')

/**
 * The simulator and the SDK as one file that threads can load, with some of the SDK's text replaced.
 *
 * @throws Error when a text to be replaced is not there, or more than once: the code has changed, and the edit must follow.
 */
export async function bundleSimulation(edits: readonly SourceEdit[] = []): Promise<string> {
  mkdirSync(CACHE, { recursive: true })
  const name = createHash('sha256').update(JSON.stringify(edits)).digest('hex').slice(0, 16)
  const outfile = join(CACHE, `${process.pid}-${name}.mjs`)
  await build({
    entryPoints: [join(ROOT, 'test/simulation/thread.ts')],
    ...{ outfile, bundle: true, platform: 'node', format: 'esm', packages: 'external', logLevel: 'silent' },
    plugins: [editing(edits)],
  })
  return outfile
}

/** The text of a source file after its edits. */
export function edited(file: string, text: string, edits: readonly SourceEdit[]): string {
  return edits
    .filter((edit) => edit.file === file)
    .reduce((result, { replace, by }) => {
      const found = result.split(replace).length - 1
      if (found !== 1) throw new Error(`src/${file} has ${found} times, instead of once: ${replace}`)
      return result.replace(replace, () => by)
    }, text)
}

export function sourceText(file: string): string {
  return readFileSync(join(ROOT, 'src', file), 'utf8')
}

function editing(edits: readonly SourceEdit[]): Plugin {
  return {
    name: 'edits',
    setup({ onLoad }) {
      for (const file of new Set(edits.map((edit) => edit.file))) {
        const filter = new RegExp(`/src/${file.replaceAll(/[.+]/g, '\\$&')}$`)
        onLoad({ filter }, () => ({ contents: edited(file, sourceText(file), edits), loader: 'ts' }))
      }
    },
  }
}
