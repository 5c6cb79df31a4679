import type { Change } from '../core/change.js'
import type { Chance, Clock } from '../core/clock.js'
import type { EmitEvent } from '../core/events.js'
import type { ChangePage, ChangeReader, ChangeSource } from '../core/ports.js'
import { NO_TELEMETRY, type RelayFigures, type Telemetry } from '../core/telemetry.js'
import { RelayProgress } from './relay-progress.js'
import { relayedChanges } from './relayed-changes.js'
import { ShardFences, type ShardFencesOptions } from './shard-fences.js'

type RowChange = Extract<ChangePage['changes'][number], { kind: 'row' }>

const PRUNE_EVERY_MS = 60_000
const TIDY_EVERY_MS = 600_000
/** An idle leader says so often that it is there: to the database, to the cache, and to whoever listens to events. */
const BEAT_EVERY_MS = 1_000

/**
 * The relay's work while it leads, from the lock to its loss. One turn:
 *
 * 1. read a page of changes;
 * 2. fence and announce their keys;
 * 3. leave a tick on each shard that has acknowledged all of it, for readers to hold their bounds against;
 * 4. settle the position, if every shard has;
 * 5. carry a page of what came before again, to shards that may have lost it.
 */
export class Leadership {
  readonly #options: LeadershipOptions
  readonly #source: ChangeSource
  readonly #fences: ShardFences
  readonly #carry: (changes: readonly Change[]) => Promise<unknown>
  readonly #progress: RelayProgress
  /** The namespace's epoch as the database has it. */
  #epoch = 0
  /** The cache has not acknowledged the epoch yet. */
  #isUntold = false
  #replay: { readonly reader: ChangeReader; readonly startedMs: number; changes: number } | undefined
  /** Of the page in hand: how many changes, and how old the oldest was when it was read. */
  #inHand = { changes: 0, lagMs: 0, sinceMs: 0 }
  #beating: Promise<void> | undefined
  #beatAtMs: number
  #settledAtMs = Number.NEGATIVE_INFINITY
  #prunedAtMs: number
  #tidiedAtMs: number

  constructor(options: LeadershipOptions, source: ChangeSource, wait: (ms: number) => Promise<void>) {
    const { store, shards, clock, chance, emit } = options
    this.#options = options
    this.#source = source
    this.#progress = new RelayProgress(clock)
    const whileWaiting = async (ms: number) => {
      await wait(ms)
      await this.#beat()
    }
    this.#fences = new ShardFences({ store, shards, clock, chance, emit, whileWaiting })
    this.#carry = options.fenceOver(this.#fences)
    this.#beatAtMs = Number.NEGATIVE_INFINITY
    this.#prunedAtMs = clock.monotonicMs()
    this.#tidiedAtMs = clock.monotonicMs()
  }

  /** How far this process is behind with it. */
  get figures(): RelayFigures {
    return this.#progress.figures
  }

  /** True once each while. */
  get isTimeToTidy(): boolean {
    const nowMs = this.#options.clock.monotonicMs()
    if (nowMs - this.#tidiedAtMs < TIDY_EVERY_MS) return false
    this.#tidiedAtMs = nowMs
    return true
  }

  /** Before anything is carried: another history of the database ends all that is cached. */
  async begin(): Promise<void> {
    await this.#beat()
    await this.#fences.attend()
  }

  async end(): Promise<void> {
    await this.#fences.idle()
  }

  /** Returns how long there is nothing to do. */
  async turn(): Promise<number> {
    const { clock, settings } = this.#options
    await this.#beat()
    await this.#fences.attend()
    this.#progress.asks()
    const page = await this.#source.read() //                                          1 read
    this.#progress.carries(page)
    await this.#traced(page, () => this.#pass(page)) //                                2 fence
    this.#progress.carried(page)
    if (this.#isUntold) await this.#tellEpoch()
    if (!page.hasMore) {
      await this.#fences.tick(this.#epoch) //                                          3 tick
      this.#fences.throwIfFailed()
      await this.#settle(page) //                                                      4 settle
    }
    const replays = await this.#replayPage() //                                        5 carry again
    if (clock.monotonicMs() - this.#prunedAtMs >= PRUNE_EVERY_MS) {
      await this.#source.prune(settings.keepMs)
      this.#prunedAtMs = clock.monotonicMs()
    }
    if (page.hasMore || replays) return 0
    return page.changes.length > 0 ? settings.pollMs / 4 : settings.pollMs
  }

  /** A page without changes is not worth a trace. */
  #traced(page: ChangePage, pass: () => Promise<void>): Promise<void> {
    const { telemetry = NO_TELEMETRY } = this.#options
    return page.changes.length === 0 ? pass() : telemetry.relayBatch(page.changes.length).run(pass)
  }

  /** Ends when the cache has acknowledged everything on the page, but for shards that are left behind. */
  async #pass(page: ChangePage): Promise<void> {
    const { emit, clock } = this.#options
    if (page.changes.length === 0 && !page.isGap) return
    const startedMs = clock.monotonicMs()
    this.#inHand = { changes: page.changes.length, lagMs: page.lagMs, sinceMs: startedMs }
    const rows = page.changes.filter((change) => change.kind === 'row')
    const keys = await this.#fence(rows)
    // Raised in the database before anything else: a process that begins now learns it there.
    if (page.isGap || rows.length < page.changes.length) await this.#raiseEpoch()
    this.#inHand = { changes: 0, lagMs: 0, sinceMs: 0 }
    const durationMs = clock.monotonicMs() - startedMs
    emit({ type: 'relay.batch', changes: page.changes.length, keys, lagMs: page.lagMs, durationMs })
  }

  async #fence(rows: readonly RowChange[]): Promise<number> {
    if (rows.length === 0) return 0
    const { namespace } = this.#options
    const changes = await relayedChanges(namespace, rows, (entity, columns) => this.#source.describe(entity, columns))
    await this.#carry(changes)
    this.#fences.throwIfFailed()
    return changes.length
  }

  async #settle(page: ChangePage): Promise<void> {
    if (!this.#fences.isSettled || this.#isUntold) return
    const nowMs = this.#options.clock.monotonicMs()
    if (page.changes.length === 0 && !page.isGap && nowMs - this.#settledAtMs < BEAT_EVERY_MS) return
    await this.#source.settle()
    this.#settledAtMs = nowMs
  }

  /** True: there is more to do at once. */
  async #replayPage(): Promise<boolean> {
    const { clock, emit, settings } = this.#options
    if (this.#replay === undefined) {
      if (!this.#fences.beginReplay()) return false
      const reader = await this.#source.replay(Math.min(settings.replayMs, settings.keepMs))
      this.#replay = { reader, startedMs: clock.monotonicMs(), changes: 0 }
    }
    const replay = this.#replay
    const page = await replay.reader.read()
    // What came in the window is not all known any more.
    if (page.isGap) await this.#raiseEpoch()
    // Epochs that were raised need no repetition: the database has them.
    await this.#fences.duringReplay(async () => {
      replay.changes += await this.#fence(page.changes.filter((change) => change.kind === 'row'))
    })
    if (page.hasMore) return true
    this.#replay = undefined
    this.#fences.endReplay()
    emit({ type: 'relay.replayed', keys: replay.changes, durationMs: clock.monotonicMs() - replay.startedMs })
    return true
  }

  /** A sign of life, and a look at what the database says of the epoch. Also while a shard is waited for: who is silent loses the lead. */
  #beat(): Promise<void> {
    const nowMs = this.#options.clock.monotonicMs()
    if (this.#beating === undefined && nowMs - this.#beatAtMs >= BEAT_EVERY_MS) {
      this.#beatAtMs = nowMs
      this.#beating = this.#beatNow().finally(() => {
        this.#beating = undefined
      })
    }
    return this.#beating ?? Promise.resolve()
  }

  async #beatNow(): Promise<void> {
    const { emit, clock, epoch } = this.#options
    await this.#learnEpoch(await this.#source.epoch(epoch.number))
    await this.#source.tend?.()
    const { changes, lagMs, sinceMs } = this.#inHand
    emit({
      type: 'relay.beat',
      pending: changes,
      lagMs: changes === 0 ? 0 : lagMs + clock.monotonicMs() - sinceMs,
      replaying: this.#fences.count('replaying'),
      away: this.#fences.count('away'),
    })
  }

  async #raiseEpoch(): Promise<void> {
    await this.#learnEpoch(await this.#source.epoch((await this.#source.epoch(0)) + 1))
  }

  /** Told in any case: the cache may have lost it. */
  async #learnEpoch(number: number): Promise<void> {
    this.#isUntold ||= number > this.#epoch
    this.#epoch = number
    await this.#tellEpoch()
  }

  async #tellEpoch(): Promise<void> {
    await this.#options.epoch.publish(this.#epoch).then(
      () => {
        this.#isUntold = false
      },
      () => {},
    )
  }
}

export interface LeadershipOptions extends Pick<ShardFencesOptions, 'store' | 'shards'> {
  readonly namespace: string
  readonly clock: Clock
  readonly chance: Chance
  readonly emit: EmitEvent
  /** Left out: nobody listens. */
  readonly telemetry?: Telemetry
  readonly settings: {
    /** How often an idle leader looks. One that has found something looks four times as often. */
    readonly pollMs: number
    /** How long changes are kept to be relayed again. */
    readonly keepMs: number
    /** How far back is relayed again to a shard that may have lost fences. */
    readonly replayMs: number
  }
  /** What follows a commit, with fences that go over this store: forgets, fences and announces. */
  readonly fenceOver: (store: ShardFences) => (changes: readonly Change[]) => Promise<unknown>
  /** The namespace's epoch as this process knows it, and a way to tell everybody of a later one. */
  readonly epoch: { readonly number: number; publish(number: number): Promise<void> }
}
