import type { Change } from '../core/change.js'
import type { Chance, Clock } from '../core/clock.js'
import type { EmitEvent } from '../core/events.js'
import type { ChangeFeed, ChangePage, ChangeSource } from '../core/ports.js'
import { NO_TELEMETRY, type RelayFigures, type Telemetry } from '../core/telemetry.js'
import type { FenceState } from '../engine/fencer.js'
import { RelayProgress } from './relay-progress.js'
import { relayedChanges } from './relayed-changes.js'

export interface RelaySettings {
  /** How often an idle leader looks. One that has found something looks four times as often. */
  readonly pollMs: number
  /** How often the others ask for the lead. */
  readonly electionMs: number
  /** How long changes are kept to be relayed again. */
  readonly keepMs: number
}

const PRUNE_EVERY_MS = 60_000
/** An idle leader says so often that it is there, and that nothing has come since. */
const SETTLE_EVERY_MS = 1_000
const FIRST_RETRY_MS = 50
const MAX_RETRY_MS = 1_000

/**
 * Carries every committed change of the tables under watch to the cache, whoever made it: the fences of a process that died after
 * its COMMIT, and of those that never knew of a cache.
 *
 * Any number of processes may run one; the feed lets one at a time work. It reads a page of changes, fences and announces their
 * keys, and only when the cache has acknowledged all of them does the position move. So a relay that dies, or a cache that is away,
 * costs time and repetition, and no change. Fences are idempotent, so repeating them is safe.
 */
export class Relay {
  readonly #options: RelayOptions
  readonly #closing = new AbortController()
  #running: Promise<void> | undefined
  #leads = false
  #progress: RelayProgress | undefined

  constructor(options: RelayOptions) {
    this.#options = options
  }

  /** `leader`: this process does the work. `standby`: another one does, or none can. */
  get role(): 'leader' | 'standby' {
    return this.#leads ? 'leader' : 'standby'
  }

  /** How far this process is behind with it; zeros where another one does it. */
  get figures(): RelayFigures {
    return (this.#leads && this.#progress?.figures) || { pending: 0, ageMs: 0 }
  }

  start(): void {
    this.#running ??= this.#run()
  }

  /** Ends after the page under way, hands the lead over, and resolves then. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#running
  }

  get #isClosing(): boolean {
    return this.#closing.signal.aborted
  }

  async #run(): Promise<void> {
    const { feed, chance, emit, settings } = this.#options
    while (!this.#isClosing) {
      try {
        await feed.lead((source) => this.#lead(source))
      } catch (error) {
        if (!this.#isClosing) emit({ type: 'relay.failed', error })
      }
      // Not all at once: the first to ask after the leader has gone gets the lead.
      await this.#sleep(settings.electionMs * (0.5 + chance.number()))
    }
  }

  async #lead(source: ChangeSource): Promise<void> {
    const { emit, clock, settings, epoch } = this.#options
    const progress = new RelayProgress(clock)
    this.#progress = progress
    this.#leads = true
    emit({ type: 'relay.leader', state: 'gained' })
    try {
      await this.#untilPublished(await source.epoch(epoch.number))
      let settledAtMs = Number.NEGATIVE_INFINITY
      let prunedAtMs = clock.monotonicMs()
      while (!this.#isClosing) {
        const startedMs = clock.monotonicMs()
        progress.asks()
        const page = await source.read()
        progress.carries(page)
        await this.#traced(page, () => this.#pass(source, page, startedMs))
        progress.carried(page)
        const nowMs = clock.monotonicMs()
        if (!page.hasMore && (page.changes.length > 0 || page.isGap || nowMs - settledAtMs >= SETTLE_EVERY_MS)) {
          await source.settle()
          // Said again, in case the cache has lost it; told from the database, in case somebody has raised it there.
          await epoch.publish(await source.epoch(0)).catch(() => {})
          settledAtMs = nowMs
        }
        if (nowMs - prunedAtMs >= PRUNE_EVERY_MS) {
          await source.prune(settings.keepMs)
          prunedAtMs = nowMs
        }
        if (!page.hasMore) await this.#sleep(page.changes.length > 0 ? settings.pollMs / 4 : settings.pollMs)
      }
    } catch (error) {
      if (!this.#isClosing) throw error
    } finally {
      this.#leads = false
      emit({ type: 'relay.leader', state: 'lost' })
    }
  }

  /** A page without changes is not worth a trace. */
  #traced(page: ChangePage, pass: () => Promise<void>): Promise<void> {
    const { telemetry = NO_TELEMETRY } = this.#options
    return page.changes.length === 0 ? pass() : telemetry.relayBatch(page.changes.length).run(pass)
  }

  /** Resolves when the cache has acknowledged everything on the page. */
  async #pass(source: ChangeSource, page: ChangePage, startedMs: number): Promise<void> {
    const { namespace, emit, clock } = this.#options
    if (page.changes.length === 0 && !page.isGap) return
    const rows = page.changes.filter((change) => change.kind === 'row')
    const changes = await relayedChanges(namespace, rows, (entity, columns) => source.describe(entity, columns))
    await this.#untilFenced(changes)
    if (page.isGap || rows.length < page.changes.length) {
      // Raised before it is announced: a process that begins now learns it from the database.
      await this.#untilPublished(await source.epoch((await source.epoch(0)) + 1))
    }
    const durationMs = clock.monotonicMs() - startedMs
    emit({ type: 'relay.batch', changes: page.changes.length, keys: changes.length, lagMs: page.lagMs, durationMs })
  }

  #untilFenced(changes: readonly Change[]): Promise<void> {
    if (changes.length === 0) return Promise.resolve()
    return this.#untilDone(async () => (await this.#options.fence(changes)) === 'fenced')
  }

  #untilPublished(number: number): Promise<void> {
    const told = () => true
    return this.#untilDone(() => this.#options.epoch.publish(number).then(told, () => false))
  }

  async #untilDone(act: () => Promise<boolean>): Promise<void> {
    let retryMs = FIRST_RETRY_MS
    while (!(await act())) {
      if (this.#isClosing) throw new Error('closed before the cache acknowledged its fences')
      await this.#sleep(retryMs)
      retryMs = Math.min(retryMs * 2, MAX_RETRY_MS)
    }
  }

  #sleep(ms: number): Promise<void> {
    return this.#options.clock.sleep(ms, this.#closing.signal).catch(() => {})
  }
}

export interface RelayOptions {
  readonly feed: ChangeFeed
  readonly namespace: string
  readonly clock: Clock
  readonly chance: Chance
  readonly emit: EmitEvent
  readonly settings: RelaySettings
  /** Left out: nobody listens. */
  readonly telemetry?: Telemetry
  /** What follows a commit: forgets, fences and announces. `pending`: not all of it has arrived. */
  readonly fence: (changes: readonly Change[]) => Promise<FenceState>
  /** The namespace's epoch as this process knows it, and a way to tell everybody of a later one. */
  readonly epoch: { readonly number: number; publish(number: number): Promise<void> }
}
