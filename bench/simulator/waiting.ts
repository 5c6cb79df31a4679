import type { Chance } from '../../src/core/clock.js'
import { LoadCost, leaseMs } from '../../src/policy/load-cost.js'
import { nextPollMs } from '../../src/policy/wait-schedule.js'

export interface Waiting {
  readonly meanPolls: number
  /** How long after the value was there a waiter noticed, for the median and the 99th of 100. */
  readonly lateMedianMs: number
  readonly lateP99Ms: number
}

const LEASE_BOUNDS = { minMs: 100, maxMs: 5_000 }
const LIMIT_MS = 5_000

/**
 * `waiters` processes that find a key's lease taken, at any time of the load, and poll as the shipped schedule says. Each
 * knows what loads cost from as many earlier ones, `misjudged` times over.
 */
export function simulateWaiting(
  drawLoadMs: () => number,
  options: { readonly waiters: number; readonly known: boolean; readonly misjudged: number },
  chance: Chance,
): Waiting {
  const cost = new LoadCost()
  if (options.known) for (let i = 0; i < 200; i++) cost.record(drawLoadMs() * options.misjudged)
  const late: number[] = []
  let polls = 0
  for (let waiter = 0; waiter < options.waiters; waiter++) {
    const loadMs = drawLoadMs()
    const arrivesMs = loadMs * chance.number()
    const lease = leaseMs(cost.estimateMs, LEASE_BOUNDS)
    const soonestMs = Math.max(0, cost.soonestMs - arrivesMs)
    let waitedMs = 0
    let asked = 0
    while (arrivesMs + waitedMs < loadMs) {
      const leaseRemainingMs = lease - arrivesMs - waitedMs
      const wait = { polls: asked++, waitedMs, soonestMs, leaseRemainingMs, limitMs: LIMIT_MS }
      waitedMs += nextPollMs(wait, chance) ?? LIMIT_MS
    }
    polls += asked
    late.push(arrivesMs + waitedMs - loadMs)
    if (options.known) cost.record(drawLoadMs() * options.misjudged)
  }
  late.sort((a, b) => a - b)
  const at = (share: number) => late[Math.floor(late.length * share)]!
  return { meanPolls: polls / late.length, lateMedianMs: at(0.5), lateP99Ms: at(0.99) }
}
