import { LRUCache } from 'lru-cache'
import { DEFAULTS } from '../../src/config.js'
import type { Chance } from '../../src/core/clock.js'
import { jittered } from '../../src/policy/jitter.js'
import { LoadCost } from '../../src/policy/load-cost.js'
import { nextPollMs } from '../../src/policy/wait-schedule.js'
import { shouldRefreshEarly } from '../../src/policy/xfetch.js'
import { seededChance } from '../simulator/seeded-chance.js'
import { type Outcome, OutcomeCount } from './outcome.js'
import type { Requests } from './requests.js'
import type { Strategy } from './strategies.js'

/** The fleet around the caches. Its loads take always the same time, and its network none but `busMs`. */
export interface Fleet {
  readonly processes: number
  readonly ttlMs: number
  readonly loadMs: number
  /** From a write until other processes have dropped their copies. */
  readonly busMs: number
  readonly seed: number
}

/** A value as it lies in a tier. */
interface Held {
  readonly version: number
  readonly untilMs: number
  readonly freshMs: number
  readonly loadMs: number
}

interface Load {
  readonly startMs: number
  readonly endMs: number
  /** Of the row, when the load read it. */
  readonly version: number
  readonly process: number
  readonly isRefresh: boolean
  revoked: boolean
}

/** Plays a stream of requests against one strategy. Nothing but arithmetic: millions of requests take seconds. */
export function simulate(requests: Requests, strategy: Strategy, fleet: Fleet): Outcome {
  return new Simulation(requests, strategy, fleet).run()
}

class Simulation {
  readonly #requests: Requests
  readonly #strategy: Strategy
  readonly #fleet: Fleet
  readonly #chance: Chance
  readonly #rules: { readonly beta: number; readonly maxEarliness: number; readonly maxLoads: number }
  readonly #count = new OutcomeCount()
  readonly #costs: readonly LoadCost[]
  readonly #l2: (Held | undefined)[]
  readonly #l1: readonly LRUCache<number, Held>[]
  /** Loads under way, in the order of their ends. */
  readonly #loads = new Map<number, Load[]>()
  /** When the row got its first version, its second, and so on. */
  readonly #written = new Map<number, number[]>()

  constructor(requests: Requests, strategy: Strategy, fleet: Fleet) {
    this.#requests = requests
    this.#strategy = strategy
    this.#fleet = fleet
    this.#chance = seededChance(fleet.seed)
    // Without the lease there is a herd to spread, so the paper's own rule holds: no bound in load times.
    const { beta } = strategy
    const { maxEarliness, maxLoads } = DEFAULTS.refresh
    this.#rules = { beta, maxEarliness, maxLoads: strategy.leased ? maxLoads : Number.POSITIVE_INFINITY }
    this.#costs = Array.from({ length: fleet.processes }, () => new LoadCost())
    this.#l2 = new Array<Held | undefined>(requests.keyCount)
    const max = strategy.l1Entries
    this.#l1 = max === 0 ? [] : Array.from({ length: fleet.processes }, () => new LRUCache<number, Held>({ max }))
  }

  run(): Outcome {
    const { atMs, keys, writes } = this.#requests
    for (let at = 0; at < atMs.length; at++) {
      const process = Math.floor(this.#chance.number() * this.#fleet.processes)
      const key = keys[at] as number
      const nowMs = atMs[at] as number
      this.#finishLoads(key, nowMs)
      if (writes[at] === 1) this.#write(key, nowMs, process)
      else this.#read(key, nowMs, process)
    }
    return this.#count.outcome(atMs.at(-1) ?? 0)
  }

  #read(key: number, nowMs: number, process: number): void {
    if (!this.#strategy.cached) {
      this.#count.load()
      this.#count.waited(this.#fleet.loadMs)
      return
    }
    const near = this.#l1[process]?.get(key)
    if (near !== undefined && near.untilMs > nowMs) {
      this.#serve('l1', key, nowMs, process, near)
      return
    }
    const held = this.#l2[key]
    if (held !== undefined && held.untilMs > nowMs) {
      this.#remember(key, nowMs, process, held)
      this.#serve('l2', key, nowMs, process, held)
    } else this.#miss(key, nowMs, process)
  }

  #serve(tier: 'l1' | 'l2', key: number, nowMs: number, process: number, held: Held): void {
    const overtakenMs = this.#written.get(key)?.[held.version]
    this.#count.hit(tier, overtakenMs === undefined ? 0 : nowMs - overtakenMs)
    const l2 = this.#l2[key] ?? held
    if (shouldRefreshEarly(l2.untilMs - nowMs, l2, this.#rules, this.#chance) && this.#mayLoad(key)) {
      this.#load(key, nowMs, process, true)
    }
  }

  #miss(key: number, nowMs: number, process: number): void {
    if (this.#mayLoad(key)) {
      this.#load(key, nowMs, process, false)
      this.#count.waited(this.#fleet.loadMs)
    } else this.#count.waited(this.#waitFor(this.#leaseHolder(key) as Load, nowMs, process))
  }

  /** Of the same process: until the load ends. Of another one: until the first poll behind that. */
  #waitFor(load: Load, nowMs: number, process: number): number {
    if (load.process === process) return load.endMs - nowMs
    const cost = this.#costs[process] as LoadCost
    const heldMs = nowMs - load.startMs
    const soonestMs = Math.max(0, cost.soonestMs - heldMs)
    let waitedMs = 0
    for (let polls = 0; nowMs + waitedMs < load.endMs; polls++) {
      const leaseRemainingMs = Math.max(0, DEFAULTS.lease.minMs - heldMs - waitedMs)
      const wait = { polls, waitedMs, soonestMs, leaseRemainingMs, limitMs: DEFAULTS.lease.waitMs }
      waitedMs += nextPollMs(wait, this.#chance) ?? load.endMs
    }
    return waitedMs
  }

  #write(key: number, nowMs: number, process: number): void {
    this.#count.write()
    const written = this.#written.get(key)
    if (written === undefined) this.#written.set(key, [nowMs])
    else written.push(nowMs)
    if (!this.#strategy.cached) return
    const { leased, onWrite } = this.#strategy
    if (leased) for (const load of this.#loads.get(key) ?? []) load.revoked = true
    const old = this.#l2[key]
    const isPublished = onWrite === 'publish' && old !== undefined && old.untilMs > nowMs
    this.#l2[key] = isPublished ? this.#held(this.#version(key), nowMs, nowMs, process, false) : undefined
    this.#l1.forEach((tier, owner) => {
      const copy = tier.peek(key)
      if (copy === undefined) return
      if (owner === process) tier.delete(key)
      else tier.set(key, { ...copy, untilMs: Math.min(copy.untilMs, nowMs + this.#fleet.busMs) })
    })
  }

  #load(key: number, nowMs: number, process: number, isRefresh: boolean): void {
    this.#count.load()
    const { loadMs } = this.#fleet
    const load = {
      startMs: nowMs,
      endMs: nowMs + loadMs,
      version: this.#version(key),
      process,
      isRefresh,
      revoked: false,
    }
    const loads = this.#loads.get(key)
    if (loads === undefined) this.#loads.set(key, [load])
    else loads.push(load)
  }

  /** All loads take as long, so they end in the order they began in. Without a lease the last one to end decides. */
  #finishLoads(key: number, nowMs: number): void {
    const loads = this.#loads.get(key)
    if (loads === undefined) return
    while (loads[0] !== undefined && loads[0].endMs <= nowMs) {
      const load = loads.shift() as Load
      ;(this.#costs[load.process] as LoadCost).record(this.#fleet.loadMs)
      if (load.revoked) continue
      const held = this.#held(load.version, load.startMs, load.endMs, load.process, load.isRefresh)
      this.#l2[key] = held
      this.#remember(key, load.endMs, load.process, held)
    }
    if (loads.length === 0) this.#loads.delete(key)
  }

  /** A leased entry's time counts from when the database was asked, and a refresh is not jittered: as Corral does it. */
  #held(version: number, askedMs: number, nowMs: number, process: number, isRefresh: boolean): Held {
    const { leased, jitter } = this.#strategy
    const lifeMs = jittered(this.#fleet.ttlMs, leased && isRefresh ? 0 : jitter, this.#chance)
    const freshMs = leased ? Math.max(1, lifeMs - (nowMs - askedMs)) : lifeMs
    const loadMs = (this.#costs[process] as LoadCost).estimateMs
    return { version, untilMs: nowMs + freshMs, freshMs, loadMs }
  }

  #remember(key: number, nowMs: number, process: number, held: Held): void {
    const untilMs = Math.min(held.untilMs, nowMs + DEFAULTS.l1.maxAgeMs)
    this.#l1[process]?.set(key, { ...held, untilMs })
  }

  #mayLoad(key: number): boolean {
    return !this.#strategy.leased || this.#leaseHolder(key) === undefined
  }

  #leaseHolder(key: number): Load | undefined {
    return this.#loads.get(key)?.find(({ revoked }) => !revoked)
  }

  #version(key: number): number {
    return this.#written.get(key)?.length ?? 0
  }
}
