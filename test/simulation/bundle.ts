import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Plugin } from 'esbuild'
import { bundle } from '../support/bundle.js'

/** One exact replacement in one file of `src`. */
export interface SourceEdit {
  /** Below `src`. */
  readonly file: string
  /** Text that is there exactly once. */
  readonly replace: string
  readonly by: string
}

const ROOT = new URL('../..', import.meta.url).pathname

/**
 * The simulator and the SDK as one file that threads can load, with some of the SDK's text replaced.
 *
 * @throws Error when a text to be replaced is not there, or more than once: the code has changed, and the edit must follow.
 */
export function bundleSimulation(edits: readonly SourceEdit[] = []): Promise<string> {
  return bundle(new URL('thread.ts', import.meta.url), editing(edits))
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
    name: createHash('sha256').update(JSON.stringify(edits)).digest('hex').slice(0, 16),
    setup({ onLoad }) {
      for (const file of new Set(edits.map((edit) => edit.file))) {
        const filter = new RegExp(`/src/${file.replaceAll(/[.+]/g, '\\$&')}$`)
        onLoad({ filter }, () => ({ contents: edited(file, sourceText(file), edits), loader: 'ts' }))
      }
    },
  }
}
