export interface Load {
  readonly startMs: number
  readonly endMs: number
}

/** What came out of one run. */
export interface Outcome {
  readonly requests: number
  readonly loads: readonly Load[]
  /** Times an entry was replaced by a load that was started while it was there. */
  readonly expiries: number
  /** Loads started while one entry was current: what the closed form is about. */
  readonly loadsPerExpiry: number
  /** Share of entries in whose time one load was started and not more. */
  readonly singleShare: number
  /** Most loads at once. */
  readonly peakLoads: number
  readonly waitedShare: number
  /** 99.9th percentile of the waits of all requests, most of which are 0. */
  readonly p999WaitMs: number
  readonly longestWaitMs: number
  readonly pollsPerWaiter: number
  /** Ages of what was served, since the database was asked for it. */
  readonly meanAgeMs: number
  readonly maxAgeMs: number
  /** How long before expiry the first load began, where it did. */
  readonly meanHeadStartMs: number
  readonly refreshes: number
  /** Refreshes whose value was replaced or expired before anybody read it. */
  readonly unreadRefreshes: number
  readonly durationMs: number
}

/** Collects while a run goes on. */
export class Tally {
  readonly #loads: Load[] = []
  readonly #waits: number[] = []
  #requests = 0
  #ageSum = 0
  #maxAgeMs = 0
  #inFlight = 0
  #peakLoads = 0
  #expiries = 0
  #single = 0
  #counted = 0
  #headStartSum = 0
  #headStarts = 0
  #polls = 0
  #refreshes = 0
  #unread = 0

  get expiries(): number {
    return this.#expiries
  }

  /** `requests` were answered from an entry, evenly while it aged from `fromMs` to `toMs`. */
  served(requests: number, fromMs: number, toMs: number): void {
    this.#requests += requests
    this.#ageSum += (requests * (fromMs + toMs)) / 2
    this.#maxAgeMs = Math.max(this.#maxAgeMs, toMs)
  }

  waited(ms: number, polls: number): void {
    this.#requests++
    this.#waits.push(ms)
    this.#polls += polls
  }

  loadStarted(startMs: number, endMs: number): void {
    this.#loads.push({ startMs, endMs })
    this.#peakLoads = Math.max(this.#peakLoads, ++this.#inFlight)
  }

  loadEnded(): void {
    this.#inFlight--
  }

  /** An entry gave way to another; `loads` were started in its time, the first `headStartMs` before it expired. */
  expired(loads: number, headStartMs: number): void {
    this.#expiries++
    this.#counted += loads
    if (loads === 1) this.#single++
    if (headStartMs <= 0) return
    this.#headStarts++
    this.#headStartSum += headStartMs
  }

  refreshed(wasRead: boolean): void {
    this.#refreshes++
    if (!wasRead) this.#unread++
  }

  outcome(durationMs: number): Outcome {
    const waits = this.#waits.sort((a, b) => b - a)
    return {
      requests: this.#requests,
      loads: this.#loads,
      expiries: this.#expiries,
      loadsPerExpiry: this.#counted / this.#expiries,
      singleShare: this.#single / this.#expiries,
      peakLoads: this.#peakLoads,
      waitedShare: waits.length / this.#requests,
      p999WaitMs: waits[Math.floor(this.#requests / 1_000)] ?? 0,
      longestWaitMs: waits[0] ?? 0,
      pollsPerWaiter: this.#polls / Math.max(1, waits.length),
      meanAgeMs: this.#ageSum / Math.max(1, this.#requests - waits.length),
      maxAgeMs: this.#maxAgeMs,
      meanHeadStartMs: this.#headStartSum / Math.max(1, this.#headStarts),
      refreshes: this.#refreshes,
      unreadRefreshes: this.#unread,
      durationMs,
    }
  }
}
