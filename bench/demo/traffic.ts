import type { Chance } from '../../src/core/clock.js'
import { seededChance } from '../simulator/seeded-chance.js'
import { PRODUCT_COUNT } from './shop.js'

/** What goes on in the shop, the same for both sides down to the seed. Each figure of people is for one process. */
export const TRAFFIC = {
  processes: 4,
  durationMs: 20_000,
  /** A visitor opens product pages: two reads each, the product and its stock. */
  visitors: 10,
  visitorPauseMs: 60,
  /** A customer buys a piece and is sent back to the page. */
  customers: 2,
  customerPauseMs: 200,
  /** Price feeds: prices of one product arrive in every process, from different suppliers, at about the same time. */
  feedPauseMs: 40,
  feedWithinMs: 25,
  /** How unevenly products are asked for, by everybody: the exponent of YCSB's default zipfian distribution. */
  zipfExponent: 0.99,
} as const

/** One thing that happens in the shop, at a planned time. */
export type Happening =
  | { readonly what: 'page'; readonly id: number }
  | { readonly what: 'price'; readonly id: number; readonly priceCents: number }
  | { readonly what: 'sale'; readonly id: number }

export interface Planned {
  /** Since the start of the traffic. */
  readonly dueMs: number
  readonly happening: Happening
}

type Draw = (chance: Chance) => Happening

/** What each person or feed in one process does, from first to last: a list for each. */
export function planOf(process: number): Planned[][] {
  const rank = zipfRanks(PRODUCT_COUNT, TRAFFIC.zipfExponent)
  const opensPage: Draw = (chance) => ({ what: 'page', id: rank(chance.number()) })
  const buys: Draw = (chance) => ({ what: 'sale', id: rank(chance.number()) })
  const people = (count: number, pauseMs: number, firstSeed: number, draw: Draw) =>
    Array.from({ length: count }, (_, person) => planPerson(seededChance(firstSeed + person), pauseMs, draw))

  const seed = 1_000 * (process + 1)
  return [
    ...people(TRAFFIC.visitors, TRAFFIC.visitorPauseMs, seed, opensPage),
    ...people(TRAFFIC.customers, TRAFFIC.customerPauseMs, seed + 500, buys),
    ...planFeeds(seededChance(seed + 900), rank),
  ]
}

/** Pauses are exponential, as between people who know nothing of each other. */
function planPerson(chance: Chance, pauseMs: number, draw: Draw): Planned[] {
  const plan: Planned[] = []
  for (let dueMs = 0; ; ) {
    dueMs += -Math.log(1 - chance.number()) * pauseMs
    if (dueMs >= TRAFFIC.durationMs) return plan
    plan.push({ dueMs, happening: draw(chance) })
  }
}

/** Which product and when is the same in all processes; the price, and how late it arrives, is this process' own. */
function planFeeds(own: Chance, rank: (drawn: number) => number): Planned[][] {
  const products = planPerson(seededChance(1), TRAFFIC.feedPauseMs, (chance) => ({
    what: 'page',
    id: rank(chance.number()),
  }))
  // A list for each, so that none waits for the one before.
  return products.map(({ dueMs, happening: { id } }) => {
    const priceCents = 500 + Math.floor(own.number() * 20_000)
    return [{ dueMs: dueMs + own.number() * TRAFFIC.feedWithinMs, happening: { what: 'price', id, priceCents } }]
  })
}

/** Maps a number in [0, 1) to a rank from 1, rank r being r ** -exponent times as likely as rank 1. */
export function zipfRanks(count: number, exponent: number): (drawn: number) => number {
  const upTo = new Float64Array(count)
  let total = 0
  for (let at = 0; at < count; at++) {
    total += (at + 1) ** -exponent
    upTo[at] = total
  }
  return (drawn) => {
    const wanted = drawn * total
    let low = 0
    let high = count - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if ((upTo[middle] as number) > wanted) high = middle
      else low = middle + 1
    }
    return low + 1
  }
}
