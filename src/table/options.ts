import { checkNumber, type L1Options, resolveSettings, type Settings, type TtlOptions } from '../config.js'
import { ConfigError } from '../core/errors.js'
import { checkCallOptions } from './call-arguments.js'
import type { TableOptions } from './parts.js'

/** `RepositoryOptions` as they are before anybody has looked at them. */
export interface TableChoices {
  readonly key: unknown
  readonly unique?: unknown
  readonly version?: unknown
  readonly ttl?: unknown
  readonly l1?: L1Options | false
  readonly hotKeys?: { readonly copies?: number; readonly copyTtlMs?: number }
  readonly onWrite?: unknown
  readonly queryBy?: unknown
  readonly loadFrom?: unknown
  readonly rowSecurity?: unknown
  readonly schemaVersion?: unknown
}

const REPOSITORY_OPTION_NAMES = [
  'key',
  'unique',
  'version',
  'ttl',
  'l1',
  'hotKeys',
  'onWrite',
  'queryBy',
  'loadFrom',
  'rowSecurity',
  'schemaVersion',
]

/**
 * A repository's options with those of the instance behind them, checked.
 *
 * @throws ConfigError naming the option, what was expected and what was found.
 */
export function resolveTable(
  table: string,
  options: TableChoices,
  settings: Settings,
  replica: { readonly db?: unknown } | undefined,
): TableOptions {
  if (typeof table !== 'string' || table === '') throw new ConfigError('repository', 'the name of a table', table)
  checkCallOptions('repository', options, REPOSITORY_OPTION_NAMES)
  const { loadFrom = 'primary', unique = [], queryBy = [], version } = options
  const { key } = options
  checkColumns('key', key)
  if (!Array.isArray(unique)) throw new ConfigError('unique', 'a list of columns, or of lists of columns', unique)
  for (const columns of unique) checkColumns('unique', columns)
  if (!isNames(queryBy)) throw new ConfigError('queryBy', 'a list of columns', queryBy)
  if (version !== undefined && version !== false && typeof version !== 'string') {
    throw new ConfigError('version', 'a column, or false', version)
  }
  if (options.schemaVersion !== undefined && typeof options.schemaVersion !== 'string') {
    throw new ConfigError('schemaVersion', 'a string', options.schemaVersion)
  }
  if (options.onWrite !== undefined && options.onWrite !== 'drop' && options.onWrite !== 'publish') {
    throw new ConfigError('onWrite', '`drop` or `publish`', options.onWrite)
  }
  checkRowSecurity('rowSecurity', options.rowSecurity)
  if (loadFrom !== 'primary' && loadFrom !== 'replica') {
    throw new ConfigError('loadFrom', '`primary` or `replica`', loadFrom)
  }
  if (loadFrom === 'replica' && replica?.db === undefined) {
    throw new ConfigError('loadFrom', '`primary`, or option `replica` of `createCorral` with a `db`', loadFrom)
  }
  if (options.ttl !== undefined && (typeof options.ttl !== 'object' || options.ttl === null)) {
    throw new ConfigError('ttl', 'an object of options', options.ttl)
  }
  const { freshMs, ...ttl } = (options.ttl ?? {}) as { freshMs?: number | ((row: object) => number) | undefined }
  const fixed = typeof freshMs === 'function' ? {} : { freshMs }
  const l1 = options.l1 === false ? { maxEntries: 0 } : (options.l1 ?? {})
  const own = resolveSettings({ ttl: { ...ttl, ...(fixed as TtlOptions) }, l1 }, settings)
  return {
    table,
    key,
    unique,
    queryBy,
    ...(version === undefined ? {} : { version }),
    ...(options.rowSecurity === undefined ? {} : { rowSecurity: options.rowSecurity }),
    schemaVersion: options.schemaVersion ?? '',
    loadFrom,
    read: {
      graceMs: own.ttl.graceMs,
      beta: own.refresh.beta,
      maxEarliness: own.refresh.maxEarliness,
      maxLoads: own.refresh.maxLoads,
      softTimeoutMs: own.load.softTimeoutMs,
      hardTimeoutMs: own.load.hardTimeoutMs,
    },
    fill: { jitter: own.ttl.jitter, graceMs: own.ttl.graceMs, lease: own.lease },
    l1: own.l1,
    knownBytes: settings.cache.maxKnownBytes,
    hotKeys: options.hotKeys === undefined ? undefined : resolveHotKeys(options.hotKeys, settings),
    publishBytes: options.onWrite === 'publish' ? settings.cache.maxPublishBytes : 0,
    absentMs: own.ttl.absentMs,
    freshMs: typeof freshMs === 'function' ? freshMs : own.ttl.freshMs,
    fixedFreshMs: own.ttl.freshMs,
  }
}

/** The application's word on row-level security, of repositories and of queries. */
export function checkRowSecurity(option: string, given: unknown): asserts given is 'alike' | undefined {
  if (given !== undefined && given !== 'alike') throw new ConfigError(option, '`alike`', given)
}

/** A column, or a list of some. */
function checkColumns(option: string, given: unknown): asserts given is string | readonly string[] {
  const isColumns = typeof given === 'string' ? given !== '' : isNames(given) && given.length > 0
  if (!isColumns) throw new ConfigError(option, 'a column or a list of columns', given)
}

function isNames(given: unknown): given is readonly string[] {
  return Array.isArray(given) && given.every((name) => typeof name === 'string' && name !== '')
}

function resolveHotKeys(given: NonNullable<TableChoices['hotKeys']>, settings: Settings) {
  checkCallOptions('hotKeys', given, ['copies', 'copyTtlMs'])
  const { copies, ...choice } = given
  const { copyTtlMs } = resolveSettings({ hotKeys: choice }, settings).hotKeys
  return { copies: copies === undefined ? 0 : checkNumber('hotKeys.copies', copies), copyTtlMs }
}
