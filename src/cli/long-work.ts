import type { CommandContext, Options } from './command-frame.js'
import { quoted } from './command-words.js'
import { Interrupted } from './interruption.js'
import { StateFile } from './state-file.js'

/** Work that tells how far it has come, by a cursor behind which another run goes on. */
export interface LongWork {
  /** The command line that does it, without what says where to go on. */
  readonly line: string
  /** Where to go on, if this is not the beginning. */
  readonly after: string | undefined
  /** Called for each cursor. */
  reached(cursor: string | undefined): void
}

/**
 * Runs work that goes on where `--after` or the file of `--state` says, and keeps that file. Interrupted, it ends with the command line
 * that goes on, in the same manner.
 *
 * @param line the command line, without `--after` and `--state`: a state file belongs to it alone.
 */
export async function runLongWork<Value>(
  { world, manner }: CommandContext,
  options: Options,
  line: string,
  run: (work: LongWork) => Promise<Value>,
): Promise<Value> {
  const { state: file, after } = options as { state?: string; after?: string }
  const state = file === undefined ? undefined : new StateFile(world.cwd, file, line)
  let cursor = after ?? state?.read()
  state?.begin(cursor)
  const reached = (next: string | undefined) => {
    if (next === undefined) return
    cursor = next
    state?.write(next)
  }
  try {
    const value = await run({ line, after: cursor, reached })
    state?.remove()
    return value
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error
    const place =
      file !== undefined ? ` --state ${quoted(file)}` : cursor === undefined ? '' : ` --after ${quoted(cursor)}`
    throw new Interrupted(error.signalName, { goOnWith: line + place + manner, cursor })
  }
}
