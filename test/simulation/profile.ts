import type { OptionGroups } from '../../src/config.js'
import type { CheckName } from '../../src/testing/violation.js'
import type { Latency } from './wire.js'

/** What can go wrong. A number is how often it does in one run, on average; a share, how many of its kind. */
export interface Faults {
  /** A process dies, with all it has in hand. */
  readonly crash: number
  /** A process is stopped, for longer than leases and fences last. */
  readonly pause: number
  /** The entry of a key is evicted; its guard is. */
  readonly evictEntry: number
  readonly evictGuard: number
  /** Share of fills after which the entry is evicted soon; of fences, the guard. */
  readonly evictFilled: number
  readonly evictFenced: number
  /** A process' connections to the cache deliver nothing for a while; are lost. */
  readonly redisStall: number
  /** Share of commands whose connection is lost over them: they never arrive, late, or without an answer. */
  readonly commandLost: number
  readonly redisReset: number
  /** A server of the cache answers nobody for a while. */
  readonly redisDown: number
  /** A server of the cache starts anew with nothing. */
  readonly redisRestart: number
  /** A replica that lacks acknowledged writes is made primary. */
  readonly redisFailover: number
  /** And some processes go on to talk to the server it replaces. */
  readonly splitBrain: number
  /** Share of messages of the bus. */
  readonly messageLost: number
  readonly messageTwice: number
  readonly messageOvertaken: number
  /** Bus connections that are lost, that are half open, that deliver nothing for a while. */
  readonly busReset: number
  readonly busDeaf: number
  readonly busStall: number
  /** Share of commits (of single statements, too) that are not answered, whatever became of them. */
  readonly commitUnanswered: number
  /** Share of all statements whose connection is lost. */
  readonly statementLost: number
  /** Writes by somebody who knows of no cache; one of them may change many rows without a word about each. */
  readonly outsideSql: number
  readonly outsideBulk: number
}

/** How often what is asked. */
export interface Mix {
  readonly find: number
  readonly findMany: number
  readonly findBy: number
  readonly verified: number
  readonly primary: number
  readonly refresh: number
  readonly bounded: number
  readonly insert: number
  readonly update: number
  readonly upsert: number
  readonly delete: number
  readonly mutate: number
  readonly moveSku: number
  readonly transaction: number
}

/** One kind of run: who takes part, with which options, what they do and what goes wrong. */
export interface Profile {
  readonly about: string
  readonly processes: number
  /** Of those, how many run a relay. */
  readonly relays: number
  readonly ids: number
  readonly clients: number
  readonly calls: number
  /** Calls go from process to process under one session. */
  readonly roams?: boolean
  readonly thinkMs: number
  readonly options: OptionGroups
  readonly repository: {
    readonly version?: false
    readonly onWrite?: 'publish'
    readonly loadFrom?: 'replica'
    readonly copies?: number
    /** Rows are found by their unique column too. */
    readonly bySku?: boolean
  }
  /** Nothing is written and nothing fails: a row is loaded by one process of the fleet at a time. */
  readonly countsLoads?: boolean
  /** Processes of two releases, whose rows have another shape. */
  readonly releases?: 2
  readonly shards: number
  /** The last process starts while the others are at work, and knows nothing of what they have seen. */
  readonly startsLate?: boolean
  /** How long things go wrong. Default: half a second. */
  readonly stormMs?: number
  /** Longest time a standby lags behind. */
  readonly standbyLagMs: number
  readonly mix: Partial<Mix>
  readonly faults: Partial<Faults>
  /** Checks of what is not promised here. */
  readonly unpromised?: readonly CheckName[]
  readonly latency: { readonly redis: Latency; readonly postgres: Latency; readonly bus: Latency }
}

/** Everything about ten times as fast as by default, so that a run is short. */
const OPTIONS = {
  ttl: { freshMs: 60_000, absentMs: 20_000 },
  lease: { minMs: 30, maxMs: 200, waitMs: 25 },
  refresh: { beta: 0 },
  load: { concurrency: 8, softTimeoutMs: 20, hardTimeoutMs: 4_000 },
  cache: { deadlineMs: 15, fenceDeadlineMs: 40, giveUpMs: 80, breakerProbeMs: 30, fenceMs: 1_000, maxFloors: 100 },
  l1: { maxEntries: 0 },
  bus: { heartbeatMs: 60, trustMs: 200 },
  relay: { pollMs: 60, electionMs: 80, keepMs: 60_000, replayMs: 60_000 },
} satisfies OptionGroups

const NEAR = { ...OPTIONS, l1: { maxEntries: 100, maxAgeMs: 10_000 } }

const LATENCY = {
  redis: { usualMs: 1, slowShare: 0.2, slowMs: 12 },
  postgres: { usualMs: 3, slowShare: 0.4, slowMs: 50 },
  bus: { usualMs: 1, slowShare: 0.15, slowMs: 20 },
}

/** Most loads take longer than most writes. */
const SLOW_LOADS = { ...LATENCY, postgres: { usualMs: 3, slowShare: 0.6, slowMs: 40 } }

const BASE: Profile = {
  about: '',
  processes: 2,
  relays: 0,
  ids: 1,
  clients: 4,
  calls: 14,
  thinkMs: 7,
  options: OPTIONS,
  repository: {},
  shards: 1,
  standbyLagMs: 0,
  mix: { find: 10, update: 3, insert: 1, delete: 1 },
  faults: {},
  latency: LATENCY,
}

export const PROFILES = {
  rows: {
    ...BASE,
    about: 'rows come, change and go, while entries and guards are evicted and processes are stopped',
    mix: {
      find: 14,
      update: 5,
      insert: 1,
      delete: 1,
      findMany: 1,
      verified: 0.5,
      refresh: 0.5,
      upsert: 0.5,
      mutate: 0.5,
    },
    faults: { evictEntry: 1, evictGuard: 1, evictFilled: 0.1, evictFenced: 0.7, pause: 0.4, messageLost: 0.6 },
    latency: SLOW_LOADS,
  },
  comings: {
    ...BASE,
    about: 'a row comes and goes, and its absence is remembered as long as nothing is evicted',
    processes: 3,
    clients: 6,
    calls: 10,
    options: { ...OPTIONS, lease: { minMs: 30, maxMs: 200, waitMs: 6 } },
    mix: { find: 14, primary: 4, insert: 5, delete: 4, upsert: 1 },
    faults: { evictFenced: 0.2, commandLost: 0.1, messageLost: 0.4 },
    latency: { ...SLOW_LOADS, redis: { usualMs: 2, slowShare: 0.3, slowMs: 14 } },
  },
  weather: {
    ...BASE,
    about: 'connections to the cache stall and break, commands arrive late, a server is away',
    processes: 3,
    mix: { ...BASE.mix, primary: 1 },
    faults: {
      ...{ redisStall: 1, redisReset: 1, redisDown: 0.4, commandLost: 0.06, evictGuard: 1, evictEntry: 1, pause: 0.3 },
    },
  },
  crowd: {
    ...BASE,
    about: 'many readers in each process join the loads of a row that is written, and whose entry never stays for long',
    clients: 10,
    thinkMs: 5,
    mix: { find: 20, update: 2 },
    faults: { evictFilled: 0.9, messageLost: 0.6 },
    latency: {
      ...LATENCY,
      redis: { usualMs: 1, slowShare: 0, slowMs: 1 },
      postgres: { usualMs: 2, slowShare: 0.5, slowMs: 60 },
    },
  },
  near: {
    ...BASE,
    about: 'rows in memory behind a bus that loses, repeats and reorders messages and dies without a word',
    options: NEAR,
    mix: { ...BASE.mix, find: 14 },
    faults: {
      ...{ messageLost: 0.06, messageTwice: 0.04, messageOvertaken: 0.05, busReset: 2, busDeaf: 0.8, busStall: 0.4 },
      ...{ evictFilled: 0.1, pause: 0.6 },
    },
  },
  expiry: {
    ...BASE,
    about: 'entries that expire, are refreshed early and help out while loads are slow or fail',
    options: {
      ...NEAR,
      ttl: { freshMs: 80, absentMs: 60, graceMs: 150 },
      refresh: { beta: 3, maxEarliness: 0.6, maxLoads: 20 },
    },
    mix: { find: 14, update: 3, insert: 1, delete: 1 },
    faults: { statementLost: 0.03, evictFenced: 0.8, pause: 0.3, messageLost: 0.6 },
    latency: SLOW_LOADS,
  },
  publish: {
    ...BASE,
    about: 'writes put the new row in the place of a cached older one, and hand it to other processes',
    processes: 3,
    options: { ...NEAR, refresh: { beta: 3, maxEarliness: 0.9, maxLoads: 50 }, ttl: { freshMs: 300, absentMs: 60 } },
    repository: { onWrite: 'publish' },
    mix: { find: 10, update: 5, insert: 1, delete: 1, transaction: 1 },
    faults: {
      evictFilled: 0.1,
      evictFenced: 0.3,
      commandLost: 0.03,
      messageLost: 0.05,
      messageTwice: 0.05,
      pause: 0.2,
    },
    latency: { ...LATENCY, redis: { usualMs: 2, slowShare: 0.35, slowMs: 14 } },
  },
  crashes: {
    ...BASE,
    about: 'processes die anywhere, commits are not answered, others write by SQL; relays make up for it',
    processes: 3,
    relays: 3,
    options: NEAR,
    ids: 2,
    mix: { find: 10, update: 4, insert: 1, delete: 1, transaction: 1 },
    faults: {
      crash: 1.5,
      outsideSql: 3,
      commitUnanswered: 0.08,
      messageLost: 0.3,
      statementLost: 0.01,
      pause: 0.3,
      redisReset: 0.5,
    },
    // A process that dies takes its fences along, so what it had not acknowledged is nobody's; what it had is.
  },
  failover: {
    ...BASE,
    about: 'replicas of the cache that lack acknowledged fences take over, or its servers start anew',
    processes: 3,
    relays: 2,
    options: NEAR,
    mix: { find: 10, update: 4, delete: 1, insert: 1 },
    faults: { redisFailover: 1.3, redisRestart: 0.3, redisReset: 0.5, crash: 0.3, outsideSql: 0.5, splitBrain: 0.2 },
  },
  transactions: {
    ...BASE,
    about: 'transactions that read what they write, are partly undone, roll back, collide, or are never answered',
    ids: 2,
    mix: { find: 12, transaction: 5, update: 2, insert: 1, delete: 1, mutate: 1 },
    faults: { commitUnanswered: 0.2, evictFilled: 0.2, evictFenced: 0.7, pause: 0.3, messageLost: 0.6 },
  },
  hot: {
    ...BASE,
    about: 'each process reads its own copy of a hot key, on other servers than the entry',
    processes: 3,
    relays: 2,
    shards: 3,
    // A key is hot by its reads of the second before.
    stormMs: 2_600,
    thinkMs: 70,
    options: { ...OPTIONS, hotKeys: { share: 0, perSecond: 0, copyTtlMs: 30_000 } },
    repository: { copies: 3 },
    mix: { find: 16, update: 4, delete: 1, insert: 1 },
    faults: {
      crash: 0.6,
      outsideSql: 1.5,
      evictFilled: 0.15,
      evictFenced: 0.5,
      commandLost: 0.02,
      redisStall: 0.5,
      messageLost: 0.5,
    },
  },
  unstamped: {
    ...BASE,
    about: 'a table without version stamps, in memory too',
    options: NEAR,
    repository: { version: false },
    mix: { find: 14, update: 4, delete: 1, insert: 1 },
    faults: { commandLost: 0.06, messageLost: 0.05, evictFilled: 0.3, evictGuard: 1 },
    unpromised: ['monotonic', 'label'],
  },
  standby: {
    ...BASE,
    about: 'misses are loaded from a standby that lags',
    options: NEAR,
    processes: 3,
    startsLate: true,
    repository: { loadFrom: 'replica' },
    standbyLagMs: 120,
    mix: { find: 14, update: 3, delete: 1, insert: 1 },
    faults: { evictFilled: 0.3, messageLost: 0.05, busReset: 0.3, pause: 0.3 },
    latency: { ...LATENCY, bus: { usualMs: 10, slowShare: 0.4, slowMs: 70 } },
  },
  lag: {
    ...BASE,
    about: 'a standby that lags for longer than fences are remembered',
    processes: 3,
    startsLate: true,
    options: NEAR,
    repository: { loadFrom: 'replica' },
    standbyLagMs: 3_000,
    stormMs: 3_000,
    thinkMs: 120,
    calls: 22,
    mix: { find: 16, update: 2, delete: 1, insert: 1 },
    faults: { evictEntry: 12, messageLost: 0.1, busReset: 1, pause: 1 },
  },
  sessions: {
    ...BASE,
    about: 'users go from process to process, each under a session',
    processes: 3,
    options: NEAR,
    roams: true,
    ids: 2,
    mix: { find: 10, findMany: 1, update: 4, delete: 1, insert: 1, upsert: 1, transaction: 1 },
    faults: {
      commandLost: 0.06,
      messageLost: 0.4,
      busDeaf: 0.7,
      redisStall: 0.5,
      commitUnanswered: 0.03,
      evictFilled: 0.2,
    },
    latency: SLOW_LOADS,
  },
  bounds: {
    ...BASE,
    about: 'reads that lack no change older than so long, whatever fails',
    processes: 3,
    relays: 2,
    options: NEAR,
    calls: 14,
    mix: { bounded: 12, find: 3, update: 3, delete: 1, insert: 1 },
    faults: {
      ...{
        redisFailover: 0.5,
        splitBrain: 0.4,
        redisStall: 0.7,
        redisReset: 0.3,
        redisDown: 0.3,
        crash: 0.5,
        pause: 0.5,
      },
      ...{ outsideSql: 2, outsideBulk: 0.2, messageLost: 0.05, busDeaf: 0.3, evictGuard: 1 },
    },
  },
  epochs: {
    ...BASE,
    about: 'statements over many rows, which are told as one change of the table',
    relays: 1,
    ids: 2,
    options: NEAR,
    mix: { find: 10, update: 2, insert: 1, delete: 1 },
    faults: { outsideBulk: 1.5, outsideSql: 0.5, messageLost: 0.05, evictEntry: 1, redisRestart: 0.2 },
  },
  lookups: {
    ...BASE,
    about: 'rows are found by a unique value, which moves from row to row',
    ids: 3,
    options: NEAR,
    repository: { bySku: true },
    mix: { findBy: 12, find: 3, moveSku: 4, insert: 2, delete: 2, update: 1, upsert: 1 },
    faults: { evictFilled: 0.1, evictFenced: 0.2, messageLost: 0.04, commandLost: 0.03 },
  },
  releases: {
    ...BASE,
    about: 'processes of two releases share a table whose rows they write in two shapes',
    processes: 3,
    releases: 2,
    options: NEAR,
    mix: { find: 12, update: 3, insert: 1, delete: 1 },
    faults: { evictEntry: 1, evictGuard: 2, redisStall: 0.5 },
  },
  stampede: {
    ...BASE,
    about: 'many readers of a few rows that nobody writes, and whose entries expire: one load at a time',
    processes: 3,
    countsLoads: true,
    clients: 9,
    calls: 10,
    thinkMs: 12,
    options: { ...OPTIONS, ttl: { freshMs: 60, absentMs: 60 }, refresh: { beta: 2, maxEarliness: 0.5 } },
    mix: { find: 8, findMany: 1 },
    faults: {},
    latency: {
      ...LATENCY,
      redis: { usualMs: 1, slowShare: 0, slowMs: 1 },
      // A load that takes longer than its lease may be made twice.
      postgres: { usualMs: 8, slowShare: 0, slowMs: 8 },
    },
  },
} satisfies Record<string, Profile>

export type ProfileName = keyof typeof PROFILES
export const PROFILE_NAMES = Object.keys(PROFILES) as ProfileName[]

/** Each seed is of one profile, so that seeds of one can be picked out. */
export function profileOf(seed: number): ProfileName {
  return PROFILE_NAMES[seed % PROFILE_NAMES.length] as ProfileName
}
