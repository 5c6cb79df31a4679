import type { Change } from '../core/change.js'
import type { Clock } from '../core/clock.js'
import type { EmitEvent } from '../core/events.js'
import type { CacheStore, FenceRequest } from '../core/ports.js'
import type { Background } from './background.js'
import type { Invalidation } from './invalidation.js'
import type { PendingFences } from './pending-fences.js'

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
 * 1. this process is brought up to the change, so that it reads its own write whatever comes next;
 * 2. the cache is fenced, all keys at once;
 * 3. other processes are told.
 *
 * A cache that does not answer never fails a write: its fences are kept and sent again until it does.
 */
export class Fencer {
  readonly #store: CacheStore
  readonly #clock: Clock
  readonly #invalidation: Invalidation
  readonly #pending: PendingFences
  readonly #background: Background
  readonly #keepMs: number
  readonly #emit: EmitEvent
  readonly #announce: (changes: readonly Change[]) => void

  constructor(options: {
    store: CacheStore
    clock: Clock
    invalidation: Invalidation
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
    this.#invalidation = options.invalidation
    this.#pending = options.pending
    this.#background = options.background
    this.#keepMs = options.keepMs
    this.#emit = options.emit
    this.#announce = options.announce
  }

  async afterCommit(changes: readonly Change[]): Promise<FenceState> {
    if (changes.length === 0) return 'fenced'
    for (const change of changes) this.#invalidation.apply(change)
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
    // Until the fence arrived, this process may have taken the old entry up again wherever no version tells it from the new.
    for (const change of changes) if (!change.hasFloor || change.version === null) this.#invalidation.apply(change)
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
