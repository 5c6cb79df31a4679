import type { Clock } from '../core/clock.js'
import type { EmitEvent } from '../core/events.js'
import type { CacheKey } from '../core/key.js'
import type { CacheStore, FenceRequest } from '../core/ports.js'
import type { Version } from '../core/version.js'
import type { Background } from './background.js'
import type { Floors } from './floors.js'
import type { PendingFences } from './pending-fences.js'
import type { Singleflight } from './singleflight.js'

/** One key that a committed (or possibly committed) write made old. */
export interface Change {
  readonly key: CacheKey
  /** The row's stamp after the write; after a delete, the least a re-created row will have. Null: unknown. */
  readonly version: Version | null
  /** The writing transaction. Null: unknown. */
  readonly xid: string | null
  /** The write left no row under this key. */
  readonly absent: boolean
  /** A row's own key has a floor; a lookup or a query has none. */
  readonly hasFloor: boolean
}

/** `fenced`: every later cached read, anywhere, is at least as new. `pending`: the cache did not answer; it is told later. */
export type FenceState = 'fenced' | 'pending'

/** Asks the database how a transaction ended whose COMMIT was never answered. */
export type CommitStatus = (xid: string) => Promise<'committed' | 'aborted' | 'in progress' | 'unknown'>

/** When a commit's outcome cannot be asked for, its keys are fenced again after these waits. */
const REPEAT_AFTER_MS = [100, 1_000, 5_000, 30_000]
const COMMIT_POLL_MS = 50
/** A COMMIT that has not ended after this long is left to the entries' own lifetime. */
const COMMIT_POLL_LIMIT_MS = 120_000

/**
 * What follows a commit, in this order and never before it:
 *
 * 1. floors rise and running fills can no longer be joined, so that this process reads its own write whatever comes next;
 * 2. the cache is fenced, all keys at once;
 * 3. other processes are told.
 *
 * A cache that does not answer never fails a write: its fences are kept and sent again until it does.
 */
export class Fencer {
  readonly #store: CacheStore
  readonly #clock: Clock
  readonly #floors: Floors
  readonly #flights: Singleflight<unknown>
  readonly #pending: PendingFences
  readonly #background: Background
  readonly #keepMs: number
  readonly #emit: EmitEvent
  readonly #announce: (changes: readonly Change[]) => void

  constructor(options: {
    store: CacheStore
    clock: Clock
    floors: Floors
    flights: Singleflight<unknown>
    pending: PendingFences
    background: Background
    /** How long a fence is remembered: longer than any fill that began before it can still be under way. */
    keepMs: number
    emit: EmitEvent
    /** Tells the other processes. Called after the fence, or without it when the cache is away. Must not throw. */
    announce: (changes: readonly Change[]) => void
  }) {
    this.#store = options.store
    this.#clock = options.clock
    this.#floors = options.floors
    this.#flights = options.flights
    this.#pending = options.pending
    this.#background = options.background
    this.#keepMs = options.keepMs
    this.#emit = options.emit
    this.#announce = options.announce
  }

  async afterCommit(changes: readonly Change[]): Promise<FenceState> {
    if (changes.length === 0) return 'fenced'
    for (const change of changes) {
      if (change.hasFloor && change.version !== null) this.#floors.raise(change.key, change.version, change.absent)
      this.#flights.forget(change.key)
    }
    const startedMs = this.#clock.monotonicMs()
    // Several writes of one transaction to one key are one fence: the last stamp is the highest.
    const requests = [...new Map(changes.map((change) => [change.key, this.#request(change)])).values()]
    let state: FenceState = 'fenced'
    try {
      await this.#store.fence(requests)
    } catch {
      state = 'pending'
      this.#pending.add(requests)
    }
    this.#announce(changes)
    const durationMs = this.#clock.monotonicMs() - startedMs
    this.#emit({ type: 'fence', outcome: state, keys: requests.length, durationMs })
    return state
  }

  /**
   * The connection was lost while COMMIT was under way. It counts as committed: fenced now, which is always safe, and
   * again when the database says how it ended, because until then a reader may load and cache the old row once more.
   */
  async afterUnknownCommit(changes: readonly Change[], xid: string | null, status: CommitStatus): Promise<void> {
    const unordered = changes.map((change) => ({ ...change, version: null }))
    await this.afterCommit(unordered)
    this.#background.run('commit-check', async () => {
      if (xid !== null && (await this.#waitForCommit(xid, status)) === 'aborted') return
      if (xid !== null) return void (await this.afterCommit(unordered))
      for (const waitMs of REPEAT_AFTER_MS) {
        await this.#clock.sleep(waitMs)
        await this.afterCommit(unordered)
      }
    })
  }

  async #waitForCommit(xid: string, status: CommitStatus): Promise<'committed' | 'aborted' | 'unknown'> {
    const untilMs = this.#clock.monotonicMs() + COMMIT_POLL_LIMIT_MS
    while (this.#clock.monotonicMs() < untilMs) {
      const outcome = await status(xid).catch(() => 'in progress' as const)
      if (outcome !== 'in progress') return outcome
      await this.#clock.sleep(COMMIT_POLL_MS)
    }
    return 'unknown'
  }

  #request(change: Change): FenceRequest {
    return {
      key: change.key,
      version: change.version,
      xid: change.xid,
      keepMs: this.#keepMs,
      rememberAlways: false,
      replacement: null,
    }
  }
}
