import type { Chance, Clock } from '../core/clock.js'
import { ClosedError, LockBusyError, LockLostError } from '../core/errors.js'
import type { EmitEvent } from '../core/events.js'
import type { LockHints, LockTokens } from '../core/lock-ports.js'

/** How a lock is asked for. Times are milliseconds. */
export interface LockTimes {
  /** How long others are kept waiting after a holder's last sign of life. */
  readonly ttlMs: number
  /** How long to wait for a holder to let go. 0: not at all. */
  readonly waitMs: number
}

/** What a holder holds. */
export interface HeldToken {
  readonly token: string
  /** Aborts with a `LockLostError` when somebody else has taken over, as soon as this process learns of it. */
  readonly signal: AbortSignal
}

/** Share of the hint's life after which it is renewed: two renewals may fail. */
const RENEWALS = 3
/** Pause between two looks at a lock that is taken, shortened by up to half by chance. */
const POLL_MS = 40

/**
 * Locks whose holders cannot harm one another. The hint keeps others away while a holder is well and decides nothing: it may be lost, expire under a
 * paused holder, or be out of reach. The token decides, in the database that is written.
 *
 * @see Kleppmann, "How to do distributed locking", 2016, on why a lease alone cannot
 */
export class FencedLocks {
  readonly #tokens: LockTokens
  readonly #hints: LockHints
  readonly #clock: Clock
  readonly #chance: Chance
  readonly #deadlineMs: number
  readonly #emit: EmitEvent
  #held = 0
  #isClosed = false

  constructor(options: {
    tokens: LockTokens
    hints: LockHints
    clock: Clock
    chance: Chance
    /** How long one call to the hints may take. */
    deadlineMs: number
    emit: EmitEvent
  }) {
    this.#tokens = options.tokens
    this.#hints = options.hints
    this.#clock = options.clock
    this.#chance = options.chance
    this.#deadlineMs = options.deadlineMs
    this.#emit = options.emit
  }

  /** Locks that this process holds now, or believes to hold. */
  get held(): number {
    return this.#held
  }

  /**
   * Runs `work` as the newest holder of `name`.
   *
   * @throws LockBusyError when it is held and stays so, ClosedError when this process closes meanwhile, SourceError when the database issues no
   * token: then `work` is not run; whatever `work` throws.
   */
  async run<Value>(name: string, times: LockTimes, work: (held: HeldToken) => Promise<Value>): Promise<Value> {
    const startedMs = this.#clock.monotonicMs()
    const holder = this.#chance.token()
    const hint = await this.#waitForHint(name, holder, times, startedMs)
    try {
      const { token, others } = await this.#tokens.issue(name)
      const waitedMs = this.#clock.monotonicMs() - startedMs
      this.#emit({ type: 'lock', state: 'acquired', name, token, others, hint, waitedMs })
      return await this.#hold(name, token, holder, times, work)
    } finally {
      await this.#bounded(this.#hints.release(name, holder))
    }
  }

  /**
   * Who still waits gives up. With the hints gone it would be let in although somebody is at work. Holders go on to their end: their tokens are
   * in the database, which is not ours to close.
   */
  close(): void {
    this.#isClosed = true
  }

  async #hold<Value>(
    name: string,
    token: string,
    holder: string,
    times: LockTimes,
    work: (held: HeldToken) => Promise<Value>,
  ): Promise<Value> {
    const lost = new AbortController()
    const stop = this.#renew(name, holder, times.ttlMs, () => {
      lost.abort(new LockLostError(name, token))
      this.#emit({ type: 'lock', state: 'lost', name, token })
    })
    this.#held++
    try {
      return await work({ token, signal: lost.signal })
    } catch (error) {
      if (error instanceof LockLostError) this.#emit({ type: 'lock', state: 'refused', name, token })
      throw error
    } finally {
      this.#held--
      stop()
      // Not to be told of the release is what `others` counts; the work is done either way.
      await this.#tokens.release(name, token).catch(() => {})
      this.#emit({ type: 'lock', state: 'released', name, token })
    }
  }

  /** `taken`, or `unavailable`: then nobody is kept away, and the token alone decides. */
  async #waitForHint(
    name: string,
    holder: string,
    { ttlMs, waitMs }: LockTimes,
    startedMs: number,
  ): Promise<'taken' | 'unavailable'> {
    for (;;) {
      const taken = await this.#bounded(this.#hints.take(name, holder, ttlMs))
      if (this.#isClosed) {
        // Who comes next would wait for a holder that there never was. Without an answer it may have been taken, too.
        if (taken !== false) await this.#bounded(this.#hints.release(name, holder))
        throw new ClosedError()
      }
      if (taken === undefined) return 'unavailable'
      if (taken) return 'taken'
      const leftMs = waitMs - (this.#clock.monotonicMs() - startedMs)
      if (leftMs <= 0) {
        this.#emit({ type: 'lock', state: 'busy', name, token: undefined })
        throw new LockBusyError(name, waitMs)
      }
      await this.#clock.sleep(Math.min(leftMs, POLL_MS * (1 - this.#chance.number() / 2)))
    }
  }

  /** Returns what stops it. A renewal that gets no answer is tried again; one that is refused means that somebody else has the hint. */
  #renew(name: string, holder: string, ttlMs: number, onLost: () => void): () => void {
    let cancel = () => {}
    let stopped = false
    const next = () => {
      cancel = this.#clock.after(ttlMs / RENEWALS, async () => {
        const renewed = await this.#bounded(this.#hints.renew(name, holder, ttlMs))
        if (stopped) return
        const isLost = renewed === false && (await this.#bounded(this.#hints.take(name, holder, ttlMs))) === false
        // The work has ended meanwhile, and with it what there was to lose.
        if (stopped) return
        if (isLost) onLost()
        else next()
      })
    }
    next()
    return () => {
      stopped = true
      cancel()
    }
  }

  /** Undefined: it failed, or took too long. */
  async #bounded<Answer>(asked: Promise<Answer>): Promise<Answer | undefined> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(this.#deadlineMs, () => resolve(undefined))
      asked.then(
        (answer) => {
          cancel()
          resolve(answer)
        },
        () => {
          cancel()
          resolve(undefined)
        },
      )
    })
  }
}
