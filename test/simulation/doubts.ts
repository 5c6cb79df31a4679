import type { Violation } from '../../src/testing/violation.js'
import type { Profile } from './profile.js'

/** Answers from memory lag behind others' writes for as long as messages are trusted to arrive, and for the time they take. */
const MEMORY_LAG_IN_TRUST = 3

interface Doubt {
  readonly shard: string
  readonly fromMs: number
  untilMs: number
}

/** What is not promised in a run: from a failover to the end of the replay, what was acknowledged before may be missed. */
export class Doubts {
  readonly #profile: Profile
  readonly #doubts: Doubt[] = []

  constructor(profile: Profile) {
    this.#profile = profile
  }

  get memoryLagMs(): number {
    return MEMORY_LAG_IN_TRUST * (this.#profile.options.bus?.trustMs ?? 0)
  }

  begin(shard: string, fromMs: number): void {
    this.#doubts.push({ shard, fromMs, untilMs: Number.POSITIVE_INFINITY })
  }

  /** Everything acknowledged before has been fenced again, and nobody asks the wrong server any more. */
  end(shard: string, nowMs: number): void {
    for (const doubt of this.#doubts) {
      if (doubt.shard === shard) doubt.untilMs = Math.min(doubt.untilMs, nowMs)
    }
  }

  isPromised(violation: Violation): boolean {
    if (this.#profile.unpromised?.includes(violation.check)) return false
    if (violation.check !== 'acknowledged') return true
    // One that had begun may look, and wait, and look again.
    const { startedMs, endedMs } = violation.read
    return !this.#doubts.some(({ fromMs, untilMs }) => endedMs >= fromMs && startedMs < untilMs + this.memoryLagMs)
  }
}
