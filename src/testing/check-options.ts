import { ConfigError } from '../core/errors.js'
import { refuseUnknown } from '../core/known-options.js'
import type { HistoryRecords } from './records.js'

/** What a check may take for granted. */
export interface CheckOptions {
  /** Every write of every row was recorded, the first ones included. Then what nobody wrote is a phantom. Default: only what was rolled back is. */
  readonly allWritesAreRecorded?: boolean
  /**
   * How far answers from memory may lag behind writes that other processes had acknowledged. Default: as far as they like, because
   * how long a lost message takes to be noticed is a setting (`bus.trustMs`).
   */
  readonly memoryLagMs?: number
  /** How long entries count as fresh, to say how many loads each expiry took. */
  readonly freshMs?: number
  /** Violations of each kind that are kept; all are counted. Default 100. */
  readonly maxExamples?: number
}

const NUMBERS = ['memoryLagMs', 'freshMs', 'maxExamples'] as const
const RECORDS = ['reads', 'writes', 'loads', 'atRest'] as const

/** @throws ConfigError */
export function checkRequest(history: HistoryRecords, options: CheckOptions): void {
  const missing = RECORDS.find((name) => !Array.isArray(history?.[name]))
  if (missing !== undefined) throw new ConfigError(`checkHistory history.${missing}`, 'a list of records', history)
  if (typeof options !== 'object' || options === null) {
    throw new ConfigError('checkHistory options', 'an object of options', options)
  }
  refuseUnknown('checkHistory', options, ['allWritesAreRecorded', ...NUMBERS])
  const { allWritesAreRecorded } = options
  if (allWritesAreRecorded !== undefined && typeof allWritesAreRecorded !== 'boolean') {
    throw new ConfigError('checkHistory.allWritesAreRecorded', 'true or false', allWritesAreRecorded)
  }
  for (const name of NUMBERS) {
    const value = options[name]
    if (value === undefined || (typeof value === 'number' && value >= 0)) continue
    throw new ConfigError(`checkHistory.${name}`, 'a number from 0', value)
  }
}
