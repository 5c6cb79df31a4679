import type { Clock } from '../core/clock.js'
import { SourceError } from '../core/errors.js'
import type { EmitEvent } from '../core/events.js'
import { compareVersions } from '../core/version.js'
import type { Background } from './background.js'
import { withinMs } from './deadline.js'
import type { Holder } from './invalidation.js'

/** How the primary sees its transactions, `xmin:xmax:xip,…`; `standby`: whoever answered is not the primary. */
export interface Sight {
  readonly snapshot: string
  readonly loadedFrom: 'primary' | 'standby'
}

export interface ReplicaTrustOptions {
  readonly clock: Clock
  /** Asks the primary how it sees its transactions. */
  readonly ask: () => Promise<Sight>
  /** How long every process of the namespace remembers a fence (`cache.fenceMs`). */
  readonly fenceMs: number
  /** How long a load may take before the primary is asked instead. */
  readonly limitMs: number
  /** Whether what others announce arrives here. */
  readonly isLive: (nowMs: number) => boolean
  readonly background: Background
  readonly emit: EmitEvent
}

interface Horizon {
  readonly takenAtMs: number
  /** Below it every transaction had ended, and so did all that were visible. */
  readonly xmax: string
}

/** Part of the time fences are remembered that a horizon may be old; the rest is for the fill to arrive. */
const OLDEST = 0.5
/** Horizons taken within that time: what a standby has to show is at most a quarter of it younger than it need be. */
const HORIZONS = 4
/** A question that takes longer has failed, and another connection may be asked: in time, while the last horizon still counts. */
const ANSWER_MS = 10_000
/** Questions without an answer, on connections that are half open, after which none is asked until one of them has ended. */
const MOST_UNANSWERED = 2
const FIRST_PAUSE_MS = 1_000
const LONGEST_PAUSE_MS = 30_000

/**
 * When this process may believe what a standby says, so that it can be stored.
 *
 * A standby lags, and whoever reads it may be told of the row before a write that was fenced long ago. Three things keep such
 * a row out of the cache and away from readers:
 *
 * - the fences in the store, which are remembered for `fenceMs`: for all writes that came within that time;
 * - the horizon, for all writes before it: the standby's snapshot has to show whatever the primary showed at some moment of the last
 *   `fenceMs / 2`. On a standby only what lies below `xmin` is surely visible, because its snapshots do not list
 *   the transactions in progress (`xid8funcs.c` copies `xip`, which recovery leaves empty);
 * - the floors of this process, for fences the store has lost to eviction: every write since the horizon was announced on the bus, if
 *   that was heard without a gap since. So a gap, a new subscription and a new epoch take all horizons away (`clear`).
 *
 * A standby that is behind or fails is left alone for a second, then for longer, up to half a minute.
 *
 * The primary is asked one question at a time. One that is never answered takes a connection of the application's for as long as the
 * operating system lets it, so they must not pile up: two at most ever hold one.
 */
export class ReplicaTrust implements Holder {
  /** No key is this holder's: it only wants to know when something may have been missed. */
  readonly prefix = ''
  readonly #options: ReplicaTrustOptions
  #horizons: readonly Horizon[] = []
  /** Counts up whenever horizons are taken away: one that was asked for before must not come back. */
  #generation = 0
  #pauseMs = 0
  #pausedUntilMs = 0
  #cancel = () => {}
  /** Questions that have not ended, given up or not. */
  #underWay = 0
  /** One of them may still be answered in time. */
  #isAsking = false
  /** It was time for a question when none could be asked. */
  #isDue = false
  #isStarted = false
  #isClosed = false

  constructor(options: ReplicaTrustOptions) {
    this.#options = options
  }

  get limitMs(): number {
    return this.#options.limitMs
  }

  /** Looks at the primary from now on, in the background, some four times within the age a horizon may have. */
  start(): void {
    if (this.#isStarted || this.#isClosed) return
    this.#isStarted = true
    this.#look()
  }

  /** Whether a load is worth trying now. */
  isUsable(): boolean {
    const nowMs = this.#options.clock.monotonicMs()
    return nowMs >= this.#pausedUntilMs && this.#oldest(nowMs) !== undefined
  }

  /**
   * How long a row that was read under `snapshot` may still be stored, in milliseconds from now; undefined: not at all, because the
   * standby is behind.
   */
  storableForMs(snapshot: string): number | undefined {
    const nowMs = this.#options.clock.monotonicMs()
    const horizon = this.#oldest(nowMs)
    const xmin = snapshot.slice(0, snapshot.indexOf(':'))
    if (horizon === undefined || compareVersions(xmin, horizon.xmax) < 0) return undefined
    return horizon.takenAtMs + this.#options.fenceMs - nowMs
  }

  /** The standby was behind, or did not answer. */
  pause(): void {
    this.#pauseMs = Math.min(Math.max(FIRST_PAUSE_MS, 2 * this.#pauseMs), LONGEST_PAUSE_MS)
    this.#pausedUntilMs = this.#options.clock.monotonicMs() + this.#pauseMs
  }

  /** What it said could be used. */
  resume(): void {
    this.#pauseMs = 0
  }

  forget(): void {}

  clear(): void {
    this.#horizons = []
    this.#generation++
    if (this.#isStarted && !this.#isClosed) this.#look()
  }

  close(): void {
    this.#isClosed = true
    this.#cancel()
  }

  #oldest(nowMs: number): Horizon | undefined {
    if (!this.#options.isLive(nowMs)) return undefined
    return this.#horizons.find(({ takenAtMs }) => nowMs - takenAtMs < this.#oldestMs)
  }

  get #oldestMs(): number {
    return this.#options.fenceMs * OLDEST
  }

  /** Asks now, or as soon as it may, and again when it is time. */
  #look(): void {
    const { clock, background } = this.#options
    this.#cancel()
    this.#cancel = clock.after(this.#oldestMs / HORIZONS, () => this.#look())
    this.#isDue = this.#isAsking || this.#underWay >= MOST_UNANSWERED
    if (this.#isDue) return
    this.#isAsking = true
    background.run('horizon', async () => {
      try {
        await this.#take()
      } finally {
        this.#isAsking = false
        this.#catchUp()
      }
    })
  }

  async #take(): Promise<void> {
    const { clock } = this.#options
    const generation = this.#generation
    // Before the question: whatever commits later has its fence later.
    const takenAtMs = clock.monotonicMs()
    const late = () => new SourceError('asking for a snapshot', new Error(`no answer for ${ANSWER_MS} ms`))
    const { snapshot, loadedFrom } = await withinMs(clock, ANSWER_MS, this.#ask(), late)
    if (loadedFrom !== 'primary' || generation !== this.#generation) return
    const young = this.#horizons.filter((each) => takenAtMs - each.takenAtMs < this.#oldestMs)
    this.#horizons = [...young, { takenAtMs, xmax: snapshot.split(':')[1] as string }]
  }

  async #ask(): Promise<Sight> {
    this.#underWay++
    try {
      return await this.#options.ask()
    } finally {
      this.#underWay--
      this.#catchUp()
    }
  }

  /** Asks what was to be asked meanwhile. */
  #catchUp(): void {
    if (this.#isDue && !this.#isClosed) this.#look()
  }
}
