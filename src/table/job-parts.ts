import { ConfigError } from '../core/errors.js'
import type { CacheKey } from '../core/key.js'
import type { CacheStore, StoredBytes } from '../core/ports.js'
import type { Fencer } from '../engine/fencer.js'
import { askPatiently } from '../jobs/patience.js'
import type { CachedTable } from './cached-table.js'
import type { CachedTables } from './open-table.js'
import type { TableParts } from './parts.js'

/** What a job over stored copies needs of an instance. */
export interface JobParts extends TableParts {
  /** The store itself, without breaker and deadlines: what a job waits for must not look like an outage to readers. */
  readonly stored: CacheStore
  readonly fencer: Pick<Fencer, 'afterCommit'>
  readonly tables: CachedTables
  /** Drops what this process holds under these keys, and tells the others to. */
  readonly forget: (keys: readonly CacheKey[]) => void
  /** @throws ClosedError: the instance was closed, and the job is to end. */
  readonly assertOpen: () => void
}

/** Entries in hand at a time: they may be large. */
const READ_TOGETHER = 64

/** @throws ConfigError for a name without a repository, or when there is none at all; what keeps a table from being opened. */
export async function chosenTables(
  tables: CachedTables,
  job: string,
  names: readonly string[] | undefined,
): Promise<CachedTable[]> {
  const known = tables.names
  const stranger = names?.find((name) => !known.includes(name))
  const isNone = names === undefined ? known.length === 0 : names.length === 0
  if (stranger === undefined && !isNone) return tables.named(names)
  const expected = known.length === 0 ? 'a repository of this instance; it has none' : known.join(', ')
  throw new ConfigError(`${job}.repositories`, expected, stranger ?? names)
}

/** Reads entries as they lie in the store, a bounded number at a time. */
export async function readStored(
  { stored, clock, assertOpen }: JobParts,
  keys: readonly CacheKey[],
  signal: AbortSignal | undefined,
  visit: (at: number, bytes: StoredBytes | null) => void,
): Promise<void> {
  for (let from = 0; from < keys.length; from += READ_TOGETHER) {
    assertOpen()
    const part = keys.slice(from, from + READ_TOGETHER)
    const found = await askPatiently({ clock, signal }, 'read', () => stored.read(part))
    for (const [at, bytes] of found.entries()) visit(from + at, bytes)
  }
}

/** @throws ConfigError */
export function checkJobOptions(
  job: string,
  options: {
    readonly repositories?: unknown
    readonly ratePerSecond?: unknown
    readonly signal?: unknown
    readonly onProgress?: unknown
  },
  known: readonly string[],
): void {
  if (typeof options !== 'object' || options === null) throw new ConfigError(job, 'an object of options', options)
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) throw new ConfigError(`${job}.${name}`, `one of ${known.join(', ')}`, name)
  }
  const { repositories, ratePerSecond, signal, onProgress } = options
  if (repositories !== undefined && !Array.isArray(repositories)) {
    throw new ConfigError(`${job}.repositories`, 'a list of table names', repositories)
  }
  const isRate = typeof ratePerSecond === 'number' && ratePerSecond > 0 && ratePerSecond <= 1_000_000
  if (ratePerSecond !== undefined && !isRate) {
    throw new ConfigError(`${job}.ratePerSecond`, 'a number above 0, up to 1 000 000', ratePerSecond)
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new ConfigError(`${job}.signal`, 'an AbortSignal', signal)
  }
  if (onProgress !== undefined && typeof onProgress !== 'function') {
    throw new ConfigError(`${job}.onProgress`, 'a function', onProgress)
  }
}
