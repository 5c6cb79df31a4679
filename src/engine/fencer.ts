import type { Change, OfferedRow } from '../core/change.js'
import type { Clock } from '../core/clock.js'
import type { EmitEvent } from '../core/events.js'
import type { CacheKey } from '../core/key.js'
import { isMark } from '../core/key.js'
import type { CacheStore, FenceOutcome, FenceSink } from '../core/ports.js'
import { NO_TELEMETRY, type Telemetry } from '../core/telemetry.js'
import type { Background } from './background.js'
import type { AnnouncedChange } from './bus-message.js'
import { withinMs } from './deadline.js'
import { deliver, isOneBatch, type OrderedFence, oneOfEach } from './fence-order.js'
import type { Invalidation } from './invalidation.js'
import type { PendingFences } from './pending-fences.js'
import { type Delivery, SharedFences } from './shared-fences.js'

/** `fenced`: every later cached read, anywhere, is at least as new. `pending`: the cache did not answer; it is told later. */
export type FenceState = 'fenced' | 'pending'

/** Asks the database how a transaction ended whose COMMIT was never answered. */
export type CommitStatus = (xid: string) => Promise<'committed' | 'aborted' | 'in progress' | 'unknown'>

/** When a commit's outcome cannot be asked for, its keys are fenced again after these waits. */
const REPEAT_AFTER_MS = [100, 1_000, 5_000, 30_000]
const COMMIT_POLL_MS = 50
/** A question that has no answer by then is asked again: over a connection that is half open there never is one. */
const COMMIT_ANSWER_MS = 10_000
/** A COMMIT that has not ended after this long is left to the entries' own lifetime. */
const COMMIT_POLL_LIMIT_MS = 120_000

/**
 * What follows a commit, in this order and never before it:
 *
 * 1. this process is brought up to the change, so that it reads its own write whatever comes next;
 * 2. the cache is fenced, all keys at once, and then the copies that hot keys may have;
 * 3. other processes are told: when the fences have arrived, or right behind them where messages and fences go one way and keep their order.
 *
 * A cache that does not answer never fails a write: its fences are kept and sent again until it does. Where one shard of several does not,
 * that is so for its keys, and the others are fenced as ever.
 */
export class Fencer {
  #isStopping = false
  /** Ends of the waits under way. */
  readonly #waits = new Set<() => void>()
  readonly #store: FenceSink & Pick<CacheStore, 'read'>
  readonly #clock: Clock
  readonly #invalidation: Invalidation
  readonly #pending: PendingFences
  readonly #background: Background
  readonly #keepMs: number
  readonly #emit: EmitEvent
  readonly #announce: (changes: readonly AnnouncedChange[]) => void
  readonly #announcesBehind: boolean
  readonly #onArrived: (fences: readonly OrderedFence[]) => void
  readonly #copiesOf: (key: CacheKey) => readonly CacheKey[]
  readonly #rememberAlways: boolean
  readonly #shardOf: ((key: CacheKey) => string) | undefined
  readonly #telemetry: Telemetry
  readonly #shared: SharedFences

  constructor(options: {
    store: FenceSink & Pick<CacheStore, 'read'>
    clock: Clock
    invalidation: Invalidation
    pending: PendingFences
    background: Background
    /** How long a fence is remembered: longer than any fill that began before it can still be under way. */
    keepMs: number
    emit: EmitEvent
    /** Tells the other processes. Called after the fence, or without it when the cache is away. Must not throw. */
    announce: (changes: readonly AnnouncedChange[]) => void
    /** What is announced is heard after what was sent to the store before: see `Channel.keepsOrder`. Default: false. */
    announcesBehind?: boolean
    /** Is told of fences when they have arrived. Default: nobody is. */
    onArrived?: (fences: readonly OrderedFence[]) => void
    /** Every copy a key may have. Writers do not know which keys are hot for readers. */
    copiesOf: (key: CacheKey) => readonly CacheKey[]
    /** Some process loads rows from a standby: it has to find their fences though nothing was cached. Default: false. */
    rememberAlways?: boolean
    /** Where a key lies. Left out: all fences that follow one that failed wait with it. */
    shardOf?: (key: CacheKey) => string
    /** Left out: nobody listens. */
    telemetry?: Telemetry
  }) {
    this.#store = options.store
    this.#clock = options.clock
    this.#invalidation = options.invalidation
    this.#pending = options.pending
    this.#background = options.background
    this.#keepMs = options.keepMs
    this.#emit = options.emit
    this.#announce = options.announce
    this.#announcesBehind = options.announcesBehind ?? false
    this.#onArrived = options.onArrived ?? (() => {})
    this.#copiesOf = options.copiesOf
    this.#rememberAlways = options.rememberAlways ?? false
    this.#shardOf = options.shardOf
    this.#telemetry = options.telemetry ?? NO_TELEMETRY
    const { clock, announce } = options
    this.#shared = new SharedFences({ clock, announce, send: (fences) => this.#send(fences) })
  }

  async afterCommit(changes: readonly Change[]): Promise<FenceState> {
    if (changes.length === 0) return 'fenced'
    return this.#telemetry.fence(changes.length).run(() => this.#follow(changes))
  }

  async #follow(changes: readonly Change[]): Promise<FenceState> {
    for (const change of changes) this.#invalidation.apply(change)
    const startedMs = this.#clock.monotonicMs()
    const sure = changes.filter(({ unless }) => unless === undefined)
    const offered = changes.some(({ offer }) => offer) ? await prepared(changes) : NO_ROWS
    const entries = this.#requests(sure, offered)
    const fences = [...entries, ...entries.flatMap((entry) => this.#copyFences(entry))]
    const { resends } = this.#store
    const news = offered.size > 0 ? told(changes, offered) : changes
    // Once all that there is to fence has left, what leaves on the same way comes after it, and the others hear a round trip sooner.
    const isBehind = this.#announcesBehind && sure.length === changes.length && isOneBatch(fences)
    const sending = isBehind ? this.#shared.leave(fences, news) : this.#send(fences)
    const [sent, differing] = await Promise.all([sending, this.#differing(changes, sure)])
    const isLate = differing.length > 0 && (await this.#send(differing)).late.size > 0
    const state = isLate || fences.some(({ key }) => sent.late.has(key)) ? 'pending' : 'fenced'
    // Until the fence arrived, this process may have taken the old entry up again wherever no version tells it from the new.
    for (const change of changes) if (!change.hasFloor || change.version === null) this.#invalidation.apply(change)
    if (!isBehind || this.#store.resends !== resends) this.#announce(news)
    const durationMs = this.#clock.monotonicMs() - startedMs
    const keys = fences.filter(({ key }) => !isMark(key)).length
    const replaced = fences.filter(({ key }) => sent.outcomes.get(key) === 'replaced').length
    this.#emit({ type: 'fence', outcome: state, keys, replaced, durationMs })
    return state
  }

  /**
   * The connection was lost while COMMIT was under way. It counts as committed: fenced now, which is always safe, and
   * again when the database says how it ended, because until then a reader may load and cache the old row once more.
   */
  async afterUnknownCommit(changes: readonly Change[], xid: string | null, status: CommitStatus): Promise<void> {
    const unordered = changes.map((change) => ({ ...change, version: null, offer: undefined }))
    await this.afterCommit(unordered)
    this.#background.run('commit-check', async () => {
      if (xid !== null && (await this.#waitForCommit(xid, status)) === 'aborted') return
      if (xid !== null) return void (await this.afterCommit(unordered))
      for (const waitMs of this.#isStopping ? [] : REPEAT_AFTER_MS) {
        await this.#wait(waitMs)
        await this.afterCommit(unordered)
        if (this.#isStopping) return
      }
    })
  }

  /** The process is about to end: what still waits to see how a commit ended fences a last time and does not wait any more. */
  stop(): void {
    this.#isStopping = true
    for (const end of this.#waits) end()
  }

  /** Fences that did not arrive are pending, with all that had to wait for them. */
  async #send(fences: readonly OrderedFence[]): Promise<Delivery> {
    const met = new Map<CacheKey, FenceOutcome>()
    const late = await deliver(fences, this.#store, this.#shardOf, (arrived, outcomes) => {
      this.#onArrived(arrived)
      for (const [at, { key }] of arrived.entries()) met.set(key, outcomes[at] as FenceOutcome)
    })
    if (late.length > 0) this.#pending.add(late)
    return { late: new Set(late.map(({ key }) => key)), outcomes: met }
  }

  /** Fences of marks that say something else than what makes a fence needless. All of them when the cache does not say. */
  async #differing(changes: readonly Change[], sure: readonly Change[]): Promise<OrderedFence[]> {
    const decided = new Set(sure.map(({ key }) => key))
    const marks = [...new Map(changes.map((change) => [change.key, change])).values()].filter(
      ({ key, unless }) => unless !== undefined && !decided.has(key),
    )
    if (marks.length === 0) return []
    const stored = await this.#store.read(marks.map(({ key }) => key)).catch(() => undefined)
    return marks
      .filter(({ unless = '' }, at) => {
        const value = stored?.[at]
        return stored === undefined || (value && !Buffer.from(value).toString('latin1').startsWith(unless))
      })
      .map((change) => this.#request(change, undefined))
  }

  /**
   * Several writes of one transaction to one key are one fence, which asks for as much as each of them. The last need not have the highest stamp: a
   * row that was deleted and made again may begin at 1.
   */
  #requests(changes: readonly Change[], offered: ReadonlyMap<CacheKey, OfferedRow>): readonly OrderedFence[] {
    return oneOfEach(changes.map((change) => this.#request(change, offered.get(change.key))))
  }

  #copyFences(entry: OrderedFence): readonly OrderedFence[] {
    const copies = this.#copiesOf(entry.key)
    if (copies.length === 0) return NO_FENCES
    const fence = { ...entry, copyOf: entry.key, rememberAlways: false, replacement: null }
    return copies.map((key) => ({ ...fence, key }))
  }

  async #waitForCommit(xid: string, status: CommitStatus): Promise<'committed' | 'aborted' | 'unknown'> {
    const untilMs = this.#clock.monotonicMs() + COMMIT_POLL_LIMIT_MS
    while (this.#clock.monotonicMs() < untilMs && !this.#isStopping) {
      // A database that has just lost a connection may take its time to answer.
      const answer = withinMs(this.#clock, COMMIT_ANSWER_MS, status(xid), () => new Error('no answer'))
      const asked = answer.catch(() => 'in progress' as const)
      const outcome = await this.#untilStopped<Awaited<typeof asked>>((tell) => void asked.then(tell))
      if (outcome !== 'in progress') return outcome ?? 'unknown'
      await this.#wait(COMMIT_POLL_MS)
    }
    return 'unknown'
  }

  /** Resolves after `ms`, or as soon as the process is about to end. */
  async #wait(ms: number): Promise<void> {
    let cancel = () => {}
    await this.#untilStopped<void>((over) => {
      cancel = this.#clock.after(ms, over)
    })
    cancel()
  }

  /** What `begin` hands on, or undefined as soon as the process is about to end. Nothing is left behind of a wait that is over. */
  #untilStopped<Answer>(begin: (answer: (value: Answer) => void) => void): Promise<Answer | undefined> {
    return new Promise((resolve) => {
      const end = (value?: Answer) => {
        this.#waits.delete(stop)
        resolve(value)
      }
      const stop = () => end()
      if (this.#isStopping) return stop()
      this.#waits.add(stop)
      begin(end)
    })
  }

  #request(change: Change, row: OfferedRow | undefined): OrderedFence {
    return {
      key: change.key,
      version: change.version,
      xid: change.xid,
      keepMs: this.#keepMs,
      // Only rows are loaded from a standby.
      rememberAlways: this.#rememberAlways && change.hasFloor,
      replacement: row ? { sealed: row.sealed, keepMs: row.keepMs } : null,
    }
  }
}

const NO_FENCES: readonly OrderedFence[] = []
const NO_ROWS: ReadonlyMap<CacheKey, OfferedRow> = new Map()

/** The rows to publish, of several writes to one key the last. A key whose last write offers none is only fenced. */
async function prepared(changes: readonly Change[]): Promise<ReadonlyMap<CacheKey, OfferedRow>> {
  const last = [...new Map(changes.map((change) => [change.key, change])).values()]
  const rows = await Promise.all(last.map(async ({ key, offer }) => [key, await offer?.prepare()] as const))
  return new Map(rows.filter((pair): pair is [CacheKey, OfferedRow] => pair[1] !== undefined))
}

/** What the others hear: of a key whose row is published only that, because what comes before it would only end what it replaces. */
function told(changes: readonly Change[], rows: ReadonlyMap<CacheKey, OfferedRow>): readonly AnnouncedChange[] {
  const last = new Map(changes.map((change) => [change.key, change]))
  return changes
    .filter((change) => !rows.has(change.key) || last.get(change.key) === change)
    .map(({ key, version, absent, hasFloor }) => ({ key, version, absent, hasFloor, entry: rows.get(key)?.bytes }))
}
