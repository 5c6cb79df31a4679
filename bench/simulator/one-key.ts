import type { Chance } from '../../src/core/clock.js'
import { jittered } from '../../src/policy/jitter.js'
import { LoadCost, leaseMs } from '../../src/policy/load-cost.js'
import { type Demands, judge } from '../../src/policy/verdict.js'
import { nextPollMs } from '../../src/policy/wait-schedule.js'
import { longestHeadStartMs } from '../../src/policy/xfetch.js'
import { EventQueue } from './event-queue.js'
import { drawLogNormal } from './log-normal.js'
import type { Strategy } from './strategies.js'
import { type Outcome, Tally } from './tally.js'

export interface Workload {
  /** Requests arrive at random at this rate (Poisson), each as if from a process of its own. */
  readonly ratePerSecond: number
  readonly meanLoadMs: number
  /** Spread of the loads: 0 is constant, otherwise log-normal with this sigma and the mean above. */
  readonly loadSigma: number
  readonly ttlMs: number
  readonly jitter: number
  /** What an entry carries as its load cost: this times the true mean, or what `LoadCost` makes of the loads so far. */
  readonly estimate: number | 'measured'
}

/** A run ends after so many expiries, or at this time, whichever comes first. */
export interface Until {
  readonly expiries?: number
  readonly timeMs?: number
}

const LEASE_BOUNDS = { minMs: 100, maxMs: 5_000 }
const WAIT_LIMIT_MS = 5_000
/** Stretches in which nothing can happen but hits are counted, not played, if they hold more requests than this. */
const WORTH_SKIPPING = 50

interface Held {
  /** When the database was asked for it: what its age counts from. */
  readonly askedMs: number
  readonly entry: Parameters<typeof judge>[0]
  readonly byRefresh: boolean
  readonly generation: number
  reads: number
  loads: number
  firstLoadMs: number
}

/** One key under one strategy: requests, loads and waiters as events in simulated time. Starts with a fill at time 0. */
export function simulateKey(strategy: Strategy, workload: Workload, until: Until, chance: Chance): Outcome {
  return new KeySimulation(strategy, workload, chance).run(until)
}

class KeySimulation {
  readonly #strategy: Strategy
  readonly #workload: Workload
  readonly #chance: Chance
  readonly #demands: Demands
  readonly #events = new EventQueue()
  readonly #tally = new Tally()
  readonly #cost = new LoadCost()
  #held: Held
  #lease: { readonly token: number; readonly sinceMs: number; readonly untilMs: number } | undefined
  #inFlight = 0
  #tokens = 0

  constructor(strategy: Strategy, workload: Workload, chance: Chance) {
    this.#strategy = strategy
    this.#workload = workload
    this.#chance = chance
    const { beta, maxEarliness, maxLoads, staleShare } = strategy
    const early = { beta, maxEarliness, ...(maxLoads === undefined ? {} : { maxLoads }) }
    this.#demands = { shape: '', epoch: '', graceMs: staleShare * workload.ttlMs, early }
    for (let i = 0; i < 30; i++) this.#cost.record(this.#drawLoadMs())
    this.#held = this.#entry(0, 0, 0, false)
  }

  run(until: Until): Outcome {
    const { expiries = Number.POSITIVE_INFINITY, timeMs = Number.POSITIVE_INFINITY } = until
    let requestMs = this.#pauseMs()
    let nowMs = 0
    while (this.#tally.expiries < expiries) {
      nowMs = Math.min(this.#events.nextMs, requestMs)
      if (nowMs >= timeMs) return this.#tally.outcome(timeMs)
      if (nowMs < requestMs) {
        this.#events.run()
        continue
      }
      const skippedToMs = this.#skip(nowMs)
      if (skippedToMs === undefined) this.#request(nowMs)
      requestMs = (skippedToMs ?? nowMs) + this.#pauseMs()
    }
    return this.#tally.outcome(nowMs)
  }

  #request(nowMs: number): void {
    switch (this.#verdict(nowMs)) {
      case 'fresh':
        this.#serve(nowMs)
        break
      case 'early':
      case 'stale':
        this.#serve(nowMs)
        if (this.#mayLoad(nowMs)) this.#load(nowMs, true, () => {})
        break
      default:
        this.#miss(nowMs)
    }
  }

  #miss(nowMs: number): void {
    if (this.#mayLoad(nowMs)) this.#load(nowMs, false, (endMs) => this.#tally.waited(endMs - nowMs, 0))
    else this.#wait(nowMs, nowMs, 0)
  }

  /** Another one loads: poll as the shipped schedule says, and take the lease over when it has run out. */
  #wait(sinceMs: number, nowMs: number, polls: number): void {
    const pauseMs = this.#pollPauseMs(sinceMs, nowMs, polls)
    if (pauseMs === undefined) {
      this.#loadWithoutFilling(nowMs, (endMs) => this.#tally.waited(endMs - sinceMs, polls))
      return
    }
    this.#events.add(nowMs + pauseMs, (pollMs) => {
      const verdict = this.#verdict(pollMs)
      if (verdict === 'fresh' || verdict === 'early') {
        this.#held.reads++
        this.#tally.waited(pollMs - sinceMs, polls + 1)
      } else if (this.#mayLoad(pollMs)) this.#loadForWaiter(sinceMs, pollMs, polls + 1)
      else this.#wait(sinceMs, pollMs, polls + 1)
    })
  }

  #pollPauseMs(sinceMs: number, nowMs: number, polls: number): number | undefined {
    const lease = this.#lease ?? { sinceMs: nowMs, untilMs: nowMs }
    const soonestMs = Math.max(0, this.#soonestMs() - (nowMs - lease.sinceMs))
    const leaseRemainingMs = lease.untilMs - nowMs
    const wait = { polls, waitedMs: nowMs - sinceMs, soonestMs, leaseRemainingMs, limitMs: WAIT_LIMIT_MS }
    return nextPollMs(wait, this.#chance)
  }

  #loadForWaiter(sinceMs: number, nowMs: number, polls: number): void {
    this.#load(nowMs, false, (endMs) => this.#tally.waited(endMs - sinceMs, polls))
  }

  #mayLoad(nowMs: number): boolean {
    return !this.#strategy.leased || this.#lease === undefined || nowMs >= this.#lease.untilMs
  }

  #load(nowMs: number, isRefresh: boolean, done: (endMs: number) => void): void {
    const token = ++this.#tokens
    const length = leaseMs(this.#estimateMs(), LEASE_BOUNDS)
    if (this.#strategy.leased) this.#lease = { token, sinceMs: nowMs, untilMs: nowMs + length }
    const seen = this.#held
    this.#loadWithoutFilling(nowMs, (endMs) => {
      this.#cost.record(endMs - nowMs)
      // A lease that was taken over has another token: this fill is refused, its caller has its value all the same.
      const mayFill = !this.#strategy.leased || this.#lease?.token === token
      if (mayFill) this.#fill(endMs, endMs - nowMs, seen.generation, isRefresh)
      done(endMs)
    })
  }

  /** As a reader does whose wait has reached its limit: lease and entry are left to their holder. */
  #loadWithoutFilling(nowMs: number, done: (endMs: number) => void): void {
    const endMs = nowMs + this.#drawLoadMs()
    if (this.#held.loads++ === 0) this.#held.firstLoadMs = nowMs
    this.#inFlight++
    this.#tally.loadStarted(nowMs, endMs)
    this.#events.add(endMs, () => {
      this.#inFlight--
      this.#tally.loadEnded()
      done(endMs)
    })
  }

  #fill(nowMs: number, ageMs: number, loadedInGeneration: number, byRefresh: boolean): void {
    this.#lease = undefined
    const old = this.#held
    if (old.byRefresh) this.#tally.refreshed(old.reads > 0)
    const replacesWhatItSaw = loadedInGeneration === old.generation
    if (replacesWhatItSaw) {
      const { filledAtMs, freshMs } = old.entry
      this.#tally.expired(old.loads, filledAtMs + freshMs - old.firstLoadMs)
    }
    this.#held = this.#entry(nowMs, ageMs, old.generation + (replacesWhatItSaw ? 1 : 0), byRefresh)
    // A late double of the same expiry only renews the value: loads already begun since belong to the same entry.
    if (!replacesWhatItSaw) {
      this.#held.loads = old.loads
      this.#held.firstLoadMs = old.firstLoadMs
    }
    if (!byRefresh) this.#held.reads++
  }

  /** As `engine/sealer` does it: the time counts from when the database was asked, and that of a refresh was drawn already. */
  #entry(nowMs: number, ageMs: number, generation: number, byRefresh: boolean): Held {
    const { ttlMs, jitter } = this.#workload
    const lifeMs = jittered(ttlMs * (1 - this.#strategy.staleShare), byRefresh ? 0 : jitter, this.#chance)
    const freshMs = Math.max(1, Math.floor(lifeMs - ageMs))
    const loadMs = this.#estimateMs()
    const entry = { kind: 'row', version: undefined, shape: '', epoch: '', filledAtMs: nowMs, freshMs, loadMs } as const
    return { entry, askedMs: nowMs - ageMs, byRefresh, generation, reads: 0, loads: 0, firstLoadMs: 0 }
  }

  #serve(nowMs: number): void {
    const ageMs = nowMs - this.#held.askedMs
    this.#held.reads++
    this.#tally.served(1, ageMs, ageMs)
  }

  /** Counts the requests up to the first moment at which one could start a refresh, and returns that moment. */
  #skip(nowMs: number): number | undefined {
    const { entry, askedMs } = this.#held
    const untilMs = entry.filledAtMs + entry.freshMs - longestHeadStartMs(entry, this.#demands.early)
    const requests = 1 + ((untilMs - nowMs) * this.#workload.ratePerSecond) / 1_000
    if (this.#inFlight > 0 || requests < WORTH_SKIPPING) return undefined
    this.#held.reads += requests
    this.#tally.served(requests, nowMs - askedMs, untilMs - askedMs)
    return untilMs
  }

  #verdict(nowMs: number) {
    return judge(this.#held.entry, nowMs, undefined, this.#demands, this.#chance)
  }

  #estimateMs(): number {
    const { estimate, meanLoadMs } = this.#workload
    return estimate === 'measured' ? this.#cost.estimateMs : estimate * meanLoadMs
  }

  #soonestMs(): number {
    return this.#workload.estimate === 'measured' ? this.#cost.soonestMs : this.#estimateMs()
  }

  #pauseMs(): number {
    return (-Math.log(1 - this.#chance.number()) * 1_000) / this.#workload.ratePerSecond
  }

  #drawLoadMs(): number {
    return drawLogNormal(this.#workload.meanLoadMs, this.#workload.loadSigma, this.#chance)
  }
}
