/** What one strategy made of one stream. Shares are of the reads. */
export interface Outcome {
  readonly reads: number
  readonly writes: number
  readonly l1Share: number
  readonly l2Share: number
  /** Answered out of a cache without waiting for a load. */
  readonly hitRatio: number
  readonly loads: number
  readonly loadsPerSecond: number
  /** Waited for a load, one's own or another's. */
  readonly waitedShare: number
  readonly p99WaitMs: number
  /** Given a value that an acknowledged write had already replaced. */
  readonly staleShare: number
  readonly oldestStaleMs: number
}

/** Counts one stream's requests as they happen. */
export class OutcomeCount {
  #l1 = 0
  #l2 = 0
  #loads = 0
  #writes = 0
  #stale = 0
  #oldestStaleMs = 0
  readonly #waits: number[] = []

  /** @param staleMs for how long the value had been replaced; 0: it was the current one. */
  hit(tier: 'l1' | 'l2', staleMs: number): void {
    if (tier === 'l1') this.#l1++
    else this.#l2++
    if (staleMs <= 0) return
    this.#stale++
    this.#oldestStaleMs = Math.max(this.#oldestStaleMs, staleMs)
  }

  /** A read waited for a load. */
  waited(ms: number): void {
    this.#waits.push(ms)
  }

  load(): void {
    this.#loads++
  }

  write(): void {
    this.#writes++
  }

  outcome(durationMs: number): Outcome {
    const reads = this.#l1 + this.#l2 + this.#waits.length
    const waits = Float64Array.from(this.#waits).sort()
    const slowerThan99 = Math.ceil(reads / 100)
    return {
      reads,
      writes: this.#writes,
      l1Share: this.#l1 / reads,
      l2Share: this.#l2 / reads,
      hitRatio: (this.#l1 + this.#l2) / reads,
      loads: this.#loads,
      loadsPerSecond: (this.#loads / durationMs) * 1_000,
      waitedShare: waits.length / reads,
      p99WaitMs: waits.at(-slowerThan99) ?? 0,
      staleShare: this.#stale / reads,
      oldestStaleMs: this.#oldestStaleMs,
    }
  }
}
