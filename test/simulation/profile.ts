import type { OptionGroups } from '../../src/config.js'
import type { CheckName } from '../../src/testing/violation.js'
import type { Latency } from './wire.js'

/** What can go wrong. A number is how often it does in one run, on average; a share, how many of its kind. */
export interface Faults {
  /** A process dies, with all it has in hand. */
  readonly crash: number
  /** Share of fences after whose arrival the process dies that has sent them. */
  readonly fencedCrash: number
  /** A process is stopped, for longer than leases and fences last. */
  readonly pause: number
  /** Share of commits after which the process is stopped that is about to hear of it. */
  readonly committedPause: number
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
  /** Share of loads from a standby after whose answer the cache does not hear of that process for long. */
  readonly loadedStall: number
  /** A server of the cache answers nobody for a while. */
  readonly redisDown: number
  /** A server of the cache starts anew with nothing. */
  readonly redisRestart: number
  /** A replica that lacks acknowledged writes is made primary. */
  readonly redisFailover: number
  /** And some processes go on to talk to the server it replaces. */
  readonly splitBrain: number
  /** Share of failovers after which the former primary follows the new one, behind it, for whoever still talks to it. */
  readonly formerFollows: number
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
    /** Share of rows that a trigger changes once more before COMMIT, after their statement has returned them. */
    readonly touched?: number
  }
  /** Nothing is written: one process of the fleet loads a row at a time, or, where the cache fails, each process makes one load of it at a time. */
  readonly countsLoads?: 'fleet' | 'process'
  /** Processes of two releases, whose rows have another shape. */
  readonly releases?: 2
  readonly shards: number
  /** So many processes start while the others are at work, and know nothing of what they have seen. Default: none. */
  readonly startLate?: number
  /** Each client whose process is there reads once within that time, then all begin: a row is hot by its reads of the second before. Default: 0. */
  readonly warmMs?: number
  /** How long things go wrong. Default: a third of a second. */
  readonly stormMs?: number
  /** Longest time a standby lags behind. */
  readonly standbyLagMs: number
  readonly mix: Partial<Mix>
  readonly faults: Partial<Faults>
  /** Checks of what is not promised here. */
  readonly unpromised?: readonly CheckName[]
  readonly latency: {
    readonly redis: Latency
    readonly postgres: Latency
    readonly bus: Latency
    /** Of loads. Default: as `postgres`. */
    readonly load?: Latency
  }
  /** Longest time it takes to subscribe anew. Default: 10. */
  readonly resubscribeMs?: number
}
