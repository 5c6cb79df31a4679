import type { Clock } from '../core/clock.js'
import type { LoadedConfig } from './config-file.js'
import type { Signals } from './interruption.js'

/** What a command needs of the process it runs in, so that tests can be that process. */
export interface World {
  readonly out: Output
  readonly err: Output
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  readonly signals: Signals
  /** The config of option `--config`. @throws ConfigFileError */
  readonly load: (cwd: string, given: string | undefined) => Promise<LoadedConfig>
  /** Of the package. */
  readonly version: string
}

export interface Output {
  write(text: string): unknown
  readonly isTTY?: boolean
  readonly columns?: number
}
