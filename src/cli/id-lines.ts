import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { UsageError } from './usage-error.js'

/** The ids in a file, one a line. */
export function idLines(cwd: string, file: string): string[] {
  let text: string
  try {
    text = readFileSync(resolve(cwd, file), 'utf8')
  } catch (error) {
    throw new UsageError(`--from: ${(error as Error).message}`)
  }
  return text.split(/\r?\n/).filter((line) => line !== '')
}
