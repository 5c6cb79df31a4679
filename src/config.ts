import { ConfigError } from './core/errors.js'
import { refuseUnknown } from './core/known-options.js'
import { LIFETIMES_MS } from './policy/row-lifetime.js'

/** How long entries live. Times are milliseconds. */
export interface TtlOptions {
  /** How long an entry counts as fresh. Raise it for tables that change rarely; it does not bound staleness, fences do. Default 300 000. */
  readonly freshMs?: number
  /** Share of `freshMs` by which an entry may expire earlier, drawn for each fill that is no refresh, 0 to 0.9. Default 0.15. */
  readonly jitter?: number
  /** How long an absence counts as fresh. Default 15 000. */
  readonly absentMs?: number
  /** How long past its fresh time an entry may stand in for a load that fails or is slow. 0: never. Default 0. */
  readonly graceMs?: number
}

/** The right to fill a key, one holder in the fleet at a time. */
export interface LeaseOptions {
  /** Shortest time a holder is given before another process may take over. Default 200. */
  readonly minMs?: number
  /** Longest. Also used while the cost of a load is not known yet. Default 5 000. */
  readonly maxMs?: number
  /** How long a reader waits for another process' fill before it loads without filling. Default 5 000. */
  readonly waitMs?: number
}

/** Refreshing entries before they expire, behind their readers. */
export interface RefreshOptions {
  /** XFetch's beta: larger refreshes earlier; 0 turns it off. Default 2. */
  readonly beta?: number
  /** Largest share of the TTL by which a refresh may come early, 0 to 1. Default 0.25. */
  readonly maxEarliness?: number
  /** Longest head start of a refresh, in load times. Default 1.5. */
  readonly maxLoads?: number
}

/** Loads of this process at the database. */
export interface LoadOptions {
  /** Statements at once. Keep it well below the pool's size, so that writes always find a connection. Default 8. */
  readonly concurrency?: number
  /** Statements that may wait for their turn. Default 1 000. */
  readonly queue?: number
  /** How long one may wait for its turn. Default 5 000. */
  readonly queueMs?: number
  /** With an entry in its grace window at hand: how long a reader waits for the load before it takes that. Default 100. */
  readonly softTimeoutMs?: number
  /** Without one: how long a reader waits before it gets `FILL_TIMEOUT`, also if it has to read again. The load goes on. Default 10 000. */
  readonly hardTimeoutMs?: number
}

/** Calls to the cache. */
export interface CacheOptions {
  /** How long one call may take before the reader goes to the database. Default 50. */
  readonly deadlineMs?: number
  /** How long a write waits for its fences before it is reported as `pending`. Default 200. */
  readonly fenceDeadlineMs?: number
  /** How long a call may stay unanswered before it counts as failed. A late answer is no failure. Default 500. */
  readonly giveUpMs?: number
  /** Failed calls in a row after which none is tried for a while. Default 5. */
  readonly breakerFailures?: number
  /** How long until one call is tried again, doubling up to 1 s. A connection that is made anew is tried at once. Default 100. */
  readonly breakerProbeMs?: number
  /** How long a fence is remembered. Must be longer than any fill can take. Default 60 000. */
  readonly fenceMs?: number
  /** Fences kept for a cache that is away; beyond this the oldest is given up. Default 100 000. */
  readonly maxPendingFences?: number
  /** Keys whose lowest admissible version this process remembers. Default 100 000. */
  readonly maxFloors?: number
  /** Without `redis`: bytes the in-process store may hold. Default 67 108 864 (64 MiB). */
  readonly maxInProcessBytes?: number
  /**
   * For each repository with `l1` turned off: bytes of entries and their rows that are kept to recognize an entry which has not changed since it
   * was read last, so that it need not be decoded again. 0: none. Default 8 388 608 (8 MiB).
   */
  readonly maxKnownBytes?: number
  /** With `onWrite: 'publish'`: largest encoded row that is published; larger ones are only dropped. Default 16 384 (16 KiB). */
  readonly maxPublishBytes?: number
}

/** How entries are written. Sizes are those of the payload: a row as JSON, a query's result with the marks of its tables. */
export interface CodecOptions {
  /** Larger payloads are compressed, if that makes them a tenth smaller at least. 0: none is. Default 16 384 (16 KiB). */
  readonly compressAboveBytes?: number
  /** Larger payloads are neither stored nor read, nor expanded if they are compressed: the database answers. Default 4 194 304 (4 MiB). */
  readonly maxEntryBytes?: number
}

/** The tier in this process' own memory, one for each repository. */
export interface L1Options {
  /** Rows held at most. 0 turns the tier off. Default 10 000. */
  readonly maxEntries?: number
  /** Bytes held at most, measured on the encoded rows. Default 33 554 432 (32 MiB). */
  readonly maxBytes?: number
  /** Longest time a row answers without a look at the cache, whatever its TTL. Default 10 000. */
  readonly maxAgeMs?: number
}

/** Messages between the processes of a namespace. */
export interface BusOptions {
  /** How often a process makes itself heard. Default 1 000. */
  readonly heartbeatMs?: number
  /** How long after its last returned heartbeat was sent a process trusts its own memory. Default 3 000. */
  readonly trustMs?: number
}

/** When a key of a repository with `hotKeys` counts as hot, by the reads of one process. See docs/guides/hot-keys.md. */
export interface HotKeyOptions {
  /** Least share of the process' reads of such repositories. Default 0.05. */
  readonly share?: number
  /** And least reads a second. Default 500. */
  readonly perSecond?: number
  /** How long a key stays hot after its reads have fallen below half of either. Default 30 000. */
  readonly cooldownMs?: number
  /** Keys counted at a time: bounds memory, and the error by all reads divided by this. Default 512. */
  readonly counters?: number
  /** Longest life of a copy, and so how long one can be out of date whose fence was lost for good. Default 5 000. */
  readonly copyTtlMs?: number
}

/** Carrying the outbox's changes to the cache: `relay: true` in some processes, at least two of them. See docs/guides/outbox.md. */
export interface RelayTimes {
  /** How often an idle relay looks for changes. One that has found some looks four times as often. Default 100. */
  readonly pollMs?: number
  /** How often the other relays of the namespace ask whether the one that works is gone. Default 1 000. */
  readonly electionMs?: number
  /** How long changes that were carried are kept, to be carried again. Default 600 000. */
  readonly keepMs?: number
  /**
   * How far back changes are carried again to a part of the cache that may have lost fences, but for what `keepMs` has let go: longer than any
   * replica of it lags behind. Default 300 000.
   */
  readonly replayMs?: number
}

/** The option groups of `createCorral`, besides `db`, `redis`, `namespace` and `onEvent`. */
export interface OptionGroups {
  readonly ttl?: TtlOptions
  readonly lease?: LeaseOptions
  readonly refresh?: RefreshOptions
  readonly load?: LoadOptions
  readonly cache?: CacheOptions
  readonly codec?: CodecOptions
  readonly l1?: L1Options
  readonly bus?: BusOptions
  readonly hotKeys?: HotKeyOptions
  readonly relay?: RelayTimes
}

type Resolved<Groups> = {
  readonly [Group in keyof Groups]-?: { readonly [Leaf in keyof NonNullable<Groups[Group]>]-?: number }
}

/** Options after defaults and checks. Nothing downstream ever sees an undefined one. */
export type Settings = Resolved<OptionGroups>

/** The one place where a default is written. `docs/reference/options.md` is tested against it. */
export const DEFAULTS: Settings = deepFreeze({
  ttl: { freshMs: 300_000, jitter: 0.15, absentMs: 15_000, graceMs: 0 },
  lease: { minMs: 200, maxMs: 5_000, waitMs: 5_000 },
  refresh: { beta: 2, maxEarliness: 0.25, maxLoads: 1.5 },
  load: { concurrency: 8, queue: 1_000, queueMs: 5_000, softTimeoutMs: 100, hardTimeoutMs: 10_000 },
  cache: {
    deadlineMs: 50,
    fenceDeadlineMs: 200,
    giveUpMs: 500,
    breakerFailures: 5,
    breakerProbeMs: 100,
    fenceMs: 60_000,
    maxPendingFences: 100_000,
    maxFloors: 100_000,
    maxInProcessBytes: 64 * 1024 * 1024,
    maxKnownBytes: 8 * 1024 * 1024,
    maxPublishBytes: 16 * 1024,
  },
  codec: { compressAboveBytes: 16 * 1024, maxEntryBytes: 4 * 1024 * 1024 },
  l1: { maxEntries: 10_000, maxBytes: 32 * 1024 * 1024, maxAgeMs: 10_000 },
  bus: { heartbeatMs: 1_000, trustMs: 3_000 },
  hotKeys: { share: 0.05, perSecond: 500, cooldownMs: 30_000, counters: 512, copyTtlMs: 5_000 },
  relay: { pollMs: 100, electionMs: 1_000, keepMs: 600_000, replayMs: 300_000 },
})

/** Allowed range of every leaf; times and counts are positive unless a zero means "off". */
const RANGES: { readonly [Path in string]?: readonly [least: number, most: number, kind?: 'integer'] } = {
  'ttl.freshMs': [LIFETIMES_MS.least, LIFETIMES_MS.most],
  'ttl.jitter': [0, 0.9],
  'ttl.absentMs': [1, 10 ** 10 - 1],
  'ttl.graceMs': [0, 10 ** 10 - 1],
  'lease.minMs': [1, 3_600_000],
  'lease.maxMs': [1, 3_600_000],
  'lease.waitMs': [0, 3_600_000],
  'refresh.beta': [0, 10],
  'refresh.maxEarliness': [0, 1],
  'refresh.maxLoads': [0, 100],
  'load.concurrency': [1, 10_000, 'integer'],
  'load.queue': [1, 10_000_000, 'integer'],
  'load.queueMs': [1, 3_600_000],
  'load.softTimeoutMs': [0, 3_600_000],
  'load.hardTimeoutMs': [1, 3_600_000],
  'cache.deadlineMs': [1, 60_000],
  'cache.fenceDeadlineMs': [1, 60_000],
  'cache.giveUpMs': [1, 600_000],
  'cache.breakerFailures': [1, 1_000_000, 'integer'],
  'cache.breakerProbeMs': [1, 60_000],
  'cache.fenceMs': [1_000, 86_400_000],
  'cache.maxPendingFences': [1, 100_000_000, 'integer'],
  'cache.maxFloors': [1, 100_000_000, 'integer'],
  'cache.maxInProcessBytes': [1024, 2 ** 40, 'integer'],
  'cache.maxKnownBytes': [0, 2 ** 40, 'integer'],
  'cache.maxPublishBytes': [0, 2 ** 20, 'integer'],
  'codec.compressAboveBytes': [0, 2 ** 28, 'integer'],
  'codec.maxEntryBytes': [1024, 2 ** 28, 'integer'],
  'l1.maxEntries': [0, 100_000_000, 'integer'],
  'l1.maxBytes': [1024, 2 ** 40, 'integer'],
  'l1.maxAgeMs': [1, 86_400_000],
  'bus.heartbeatMs': [10, 60_000],
  'bus.trustMs': [20, 600_000],
  'hotKeys.share': [0, 1],
  'hotKeys.perSecond': [0, 10 ** 9],
  'hotKeys.cooldownMs': [0, 86_400_000],
  'hotKeys.counters': [1, 1_000_000, 'integer'],
  'hotKeys.copyTtlMs': [1, 3_600_000],
  'hotKeys.copies': [2, 64, 'integer'],
  'consistency.maxStaleMs': [1, 86_400_000],
  'relay.pollMs': [1, 60_000],
  'lock.ttlMs': [10, 3_600_000],
  'lock.waitMs': [0, 3_600_000],
  'relay.electionMs': [10, 600_000],
  'relay.keepMs': [60_000, 604_800_000],
  'relay.replayMs': [1_000, 604_800_000],
  'relay.slot.maxRows': [1, 10_000_000, 'integer'],
  'relay.slot.maxChanges': [1, 10_000_000, 'integer'],
}

const NAMESPACE = /^[A-Za-z0-9_.-]{1,64}$/

/** @throws ConfigError unless it is 1 to 64 characters of `A-Z a-z 0-9 _ . -`. */
export function checkNamespace(namespace: unknown): asserts namespace is string {
  if (typeof namespace !== 'string' || !NAMESPACE.test(namespace)) {
    throw new ConfigError('namespace', '1 to 64 letters, digits, `_`, `.` or `-`', namespace)
  }
}

/**
 * Fills in defaults once and checks everything: unknown groups and leaves, types, ranges, combinations.
 *
 * @throws ConfigError naming the option, what was expected and what was found.
 */
export function resolveSettings(given: OptionGroups, base: Settings = DEFAULTS): Settings {
  const resolved: Record<string, Record<string, number>> = {}
  for (const [group, defaults] of Object.entries(base)) {
    resolved[group] = { ...defaults, ...leavesOf(group, given[group as keyof OptionGroups], Object.keys(defaults)) }
  }
  const settings = resolved as unknown as Settings
  if (settings.lease.minMs > settings.lease.maxMs) {
    throw new ConfigError('lease.minMs', `at most lease.maxMs (${settings.lease.maxMs})`, settings.lease.minMs)
  }
  if (settings.cache.fenceMs <= settings.lease.maxMs) {
    throw new ConfigError('cache.fenceMs', `more than lease.maxMs (${settings.lease.maxMs})`, settings.cache.fenceMs)
  }
  if (settings.bus.trustMs <= settings.bus.heartbeatMs) {
    throw new ConfigError(
      'bus.trustMs',
      `more than bus.heartbeatMs (${settings.bus.heartbeatMs})`,
      settings.bus.trustMs,
    )
  }
  return deepFreeze(settings)
}

function leavesOf(group: string, given: unknown, known: readonly string[]): Record<string, number> {
  if (given === undefined) return {}
  if (typeof given !== 'object' || given === null) throw new ConfigError(group, 'an object of options', given)
  refuseUnknown(group, given, known)
  const leaves: Record<string, number> = {}
  for (const [leaf, value] of Object.entries(given)) {
    if (value === undefined) continue
    leaves[leaf] = checkNumber(`${group}.${leaf}`, value)
  }
  return leaves
}

/** @throws ConfigError unless `value` is a number in the range that belongs to the option. */
export function checkNumber(path: string, value: unknown): number {
  const [least, most, kind] = RANGES[path] ?? [0, Number.MAX_SAFE_INTEGER]
  const fits =
    typeof value === 'number' && value >= least && value <= most && (kind !== 'integer' || Number.isInteger(value))
  if (!fits)
    throw new ConfigError(path, `${kind === 'integer' ? 'a whole' : 'a'} number from ${least} to ${most}`, value)
  return value
}

function deepFreeze<Value extends object>(value: Value): Value {
  for (const inner of Object.values(value)) if (typeof inner === 'object' && inner !== null) deepFreeze(inner)
  return Object.freeze(value)
}
