import { isCorralError } from '../core/errors.js'
import { ConfigFileError } from './config-file.js'
import { Interrupted } from './interruption.js'
import { UsageError } from './usage-error.js'

/** How the command ends. Public: scripts match on them. `docs/reference/cli.md` is written from this. */
export const EXIT_CODES = {
  done: { code: 0, meaning: 'Done, and nothing is wrong.' },
  found: {
    code: 1,
    meaning: 'Done, and something is wrong: a finding, a migration that is missing, rows that could not be dealt with.',
  },
  usage: { code: 2, meaning: 'The command line is wrong; nothing was done.' },
  config: { code: 3, meaning: 'The config file, an option or a table is not what is needed.' },
  unavailable: { code: 4, meaning: 'Postgres or Redis did not answer, or refused.' },
  failed: { code: 5, meaning: 'Failed for another reason.' },
  interrupted: { code: 130, meaning: 'Ended by Ctrl-C. Long work says how to go on.' },
  terminated: { code: 143, meaning: 'Ended by SIGTERM. Long work says how to go on.' },
} as const satisfies Record<string, { readonly code: number; readonly meaning: string }>

export type ExitName = keyof typeof EXIT_CODES

const UNAVAILABLE = ['SOURCE_FAILED', 'CACHE_UNAVAILABLE', 'FILL_TIMEOUT', 'OVERLOADED', 'LOCK_BUSY']

/** How a command ends that threw this. */
export function exitOf(error: unknown): ExitName {
  if (error instanceof Interrupted) return error.signalName === 'SIGINT' ? 'interrupted' : 'terminated'
  if (error instanceof UsageError || isCorralError(error, 'KEY_INVALID')) return 'usage'
  if (error instanceof ConfigFileError || isCorralError(error, 'CONFIG_INVALID') || isCorralError(error, 'CLOSED'))
    return 'config'
  if (isCorralError(error) && UNAVAILABLE.includes(error.code)) return 'unavailable'
  return 'failed'
}
