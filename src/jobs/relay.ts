import type { ChangeFeed, ChangeSource } from '../core/ports.js'
import type { RelayFigures } from '../core/telemetry.js'
import { Leadership, type LeadershipOptions } from './leadership.js'

export interface RelaySettings {
  /** How often the others ask for the lead. */
  readonly electionMs: number
}

/** Between two bounded amounts of tidying: writers are not to feel it. */
const TIDY_PAUSE_MS = 1_000

/**
 * Carries every committed change of the tables under watch to the cache, whoever made it: the fences of a process that died after
 * its COMMIT, and of those that never knew of a cache.
 *
 * Any number of processes may run one; the feed lets one at a time work (`Leadership`). The position moves only when the cache has
 * acknowledged what came before it. So a relay that dies, or a cache that is away, costs time and repetition, and no change. Fences
 * are idempotent: repeating them is safe, and a relay that was stopped and goes on beside its successor does no harm.
 */
export class Relay {
  readonly #options: RelayOptions
  readonly #closing = new AbortController()
  #running: Promise<void> | undefined
  #tidying: Promise<void> | undefined
  #leads = false
  #leadership: Leadership | undefined

  constructor(options: RelayOptions) {
    this.#options = options
  }

  /** `leader`: this process does the work. `standby`: another one does, or none can. */
  get role(): 'leader' | 'standby' {
    return this.#leads ? 'leader' : 'standby'
  }

  /** How far this process is behind with it; zeros where another one does it. */
  get figures(): RelayFigures {
    return (this.#leads && this.#leadership?.figures) || { pending: 0, ageMs: 0 }
  }

  start(): void {
    this.#running ??= this.#run()
  }

  /** Ends after the page under way, hands the lead over, and resolves then. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#running
    await this.#tidying
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
    const { emit } = this.#options
    const lead = new Leadership(this.#options, source, (ms) => this.#wait(ms))
    this.#leadership = lead
    this.#leads = true
    emit({ type: 'relay.leader', state: 'gained' })
    try {
      await lead.begin()
      while (!this.#isClosing) {
        const idleMs = await lead.turn()
        if (lead.isTimeToTidy) this.#tidy()
        if (idleMs > 0) await this.#idle(idleMs, source)
      }
    } catch (error) {
      if (!this.#isClosing) throw error
    } finally {
      await lead.end()
      this.#leads = false
      emit({ type: 'relay.leader', state: 'lost' })
    }
  }

  /** Not waited for: it may take its time, and has a connection of its own. */
  #tidy(): void {
    const { tidy, emit } = this.#options
    const untilTidy = async () => {
      while (!this.#isClosing && (await tidy())) await this.#sleep(TIDY_PAUSE_MS)
    }
    this.#tidying ??= untilTidy()
      .catch((error) => emit({ type: 'relay.failed', error }))
      .finally(() => {
        this.#tidying = undefined
      })
  }

  async #wait(ms: number): Promise<void> {
    await this.#sleep(ms)
    if (this.#isClosing) throw new Error('closed before the cache acknowledged its fences')
  }

  /** Ends early when the source has something new. */
  async #idle(ms: number, source: ChangeSource): Promise<void> {
    const over = new AbortController()
    const end = () => over.abort()
    const stop = source.listen?.(end)
    this.#closing.signal.addEventListener('abort', end, { once: true })
    if (this.#isClosing) end()
    await this.#options.clock.sleep(ms, over.signal).catch(() => {})
    this.#closing.signal.removeEventListener('abort', end)
    stop?.()
  }

  #sleep(ms: number): Promise<void> {
    return this.#options.clock.sleep(ms, this.#closing.signal).catch(() => {})
  }
}

export interface RelayOptions extends LeadershipOptions {
  readonly feed: ChangeFeed
  readonly settings: RelaySettings & LeadershipOptions['settings']
  /** Lets go of what nobody needs any more, a bounded amount. True: more may be left. Called now and then while this process leads. */
  readonly tidy: () => Promise<boolean>
}
