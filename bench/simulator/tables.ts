import { meanHeadStartMs, refreshesPerExpiry } from './closed-form.js'
import { drawLogNormal } from './log-normal.js'
import { simulateMassExpiry } from './many-keys.js'
import { simulateKey, type Workload } from './one-key.js'
import { seededChance } from './seeded-chance.js'
import { chosenSuffixes, meanTries, measureSpread, plainSuffixes } from './slot-spread.js'
import {
  fixedHeadStart,
  type Strategy,
  staleWhileRevalidate,
  ttl,
  ttlLease,
  xfetch,
  xfetchLease,
} from './strategies.js'
import { fixed, percent, type Table, whole } from './table.js'
import type { Outcome } from './tally.js'
import { simulateWaiting } from './waiting.js'

const SEED = 1

/** One key read 1,000 times a second, loads as a database has them: log-normal, 90 ms on average. */
const BUSY: Workload = {
  ratePerSecond: 1_000,
  meanLoadMs: 90,
  loadSigma: 0.5,
  ttlMs: 10_000,
  jitter: 0,
  estimate: 'measured',
}

/** Loads of exactly 50 ms and a TTL so long that no cap on earliness shows: what the closed form assumes. */
const IDEAL: Workload = { ratePerSecond: 2_000, meanLoadMs: 50, loadSigma: 0, ttlMs: 60_000, jitter: 0, estimate: 1 }

export const MASS: Workload = {
  ratePerSecond: 10,
  meanLoadMs: 50,
  loadSigma: 0,
  ttlMs: 60_000,
  jitter: 0,
  estimate: 1,
}

export const MASS_RUN = { keys: 1_000, forMs: 75_000, binMs: 250, seed: SEED }

function run(strategy: Strategy, workload: Workload, expiries: number): Outcome {
  return simulateKey(strategy, workload, { expiries }, seededChance(SEED))
}

export function strategies(expiries: number): Table {
  const all = [
    ttl,
    ttlLease,
    staleWhileRevalidate,
    xfetch(1),
    xfetch(2),
    xfetchLease(1),
    fixedHeadStart(180, BUSY.ttlMs),
  ]
  return {
    title: 'Strategies',
    setting: `One key, 1,000 requests/s, TTL 10 s, loads log-normal (mean 90 ms, sigma 0.5), cost estimated by \`LoadCost\`; ${expiries} expiries.`,
    header: ['strategy', 'loads/expiry', 'loads/TTL', 'peak loads', 'waited', 'p99.9 wait', 'mean age', 'oldest'],
    rows: all.map((strategy) => {
      const outcome = run(strategy, BUSY, expiries)
      return [
        strategy.name,
        fixed(outcome.loadsPerExpiry),
        fixed((outcome.loads.length * BUSY.ttlMs) / outcome.durationMs),
        whole(outcome.peakLoads),
        percent(outcome.waitedShare, 3),
        `${whole(outcome.p999WaitMs)} ms`,
        `${fixed(outcome.meanAgeMs / 1_000, 1)} s`,
        `${fixed(outcome.maxAgeMs / 1_000, 1)} s`,
      ]
    }),
  }
}

export function closedForm(expiries: number): Table {
  return {
    title: 'Simulation against the closed form',
    setting: `XFetch without a lease, 2,000 requests/s, loads of 50 ms, exact estimate; ${expiries} expiries. Closed form: exp(D / (beta d)) and beta d (ln(r beta d) + 0.577).`,
    header: [
      'beta',
      'loads/expiry',
      'closed form',
      'exactly one',
      'closed form',
      'head start',
      'closed form',
      'leased',
    ],
    rows: [0.5, 1, 1.5, 2, 3, 4].map((beta) => {
      const outcome = run(xfetch(beta), IDEAL, expiries)
      const { ratePerSecond, meanLoadMs } = IDEAL
      const expected = refreshesPerExpiry(meanLoadMs, beta, meanLoadMs)
      return [
        String(beta),
        fixed(outcome.loadsPerExpiry),
        fixed(expected),
        percent(outcome.singleShare, 1),
        percent(1 / expected, 1),
        `${whole(outcome.meanHeadStartMs)} ms`,
        `${whole(meanHeadStartMs(ratePerSecond, beta, meanLoadMs))} ms`,
        fixed(run(xfetchLease(beta), IDEAL, expiries).loadsPerExpiry),
      ]
    }),
  }
}

/** Rate at which even the lowest estimate below leaves enough requests in the last load time before expiry. */
const SENSITIVITY_RATE = 20_000

export function estimateError(expiries: number): Table {
  const errors = [
    ['a third', 1 / 3],
    ['half', 1 / 2],
    ['exact', 1],
    ['double', 2],
  ] as const
  return {
    title: 'A wrong estimate',
    setting: `Beta 1, 20,000 requests/s, loads of 50 ms; ${expiries} expiries. Last column: 20 requests/s, loads log-normal (mean 500 ms, sigma 0.5), so that a lease of three estimates may run out under its holder.`,
    header: ['estimate', 'xfetch', 'closed form', 'xfetch + lease', 'slow loads, leased'],
    rows: errors.map(([name, estimate]) => {
      const workload = { ...IDEAL, ratePerSecond: SENSITIVITY_RATE, estimate }
      const slow = { ...IDEAL, ratePerSecond: 20, meanLoadMs: 500, loadSigma: 0.5, estimate }
      return [
        name,
        fixed(run(xfetch(1), workload, expiries).loadsPerExpiry),
        fixed(refreshesPerExpiry(1, 1, estimate)),
        fixed(run(xfetchLease(1), workload, expiries).loadsPerExpiry),
        fixed(run(xfetchLease(1), slow, expiries).loadsPerExpiry),
      ]
    }),
  }
}

export const RATES = [0.1, 1, 10, 100, 1_000, 10_000]

export function requestRate(expiries: number): Table {
  const shown = [ttl, ttlLease, xfetch(1), xfetchLease(1)]
  return {
    title: 'Request rate',
    setting: 'TTL 10 s, loads of 100 ms, exact estimate. In each cell: loads an expiry; share of requests that waited.',
    header: ['requests/s', ...shown.map((strategy) => strategy.name)],
    rows: RATES.map((ratePerSecond) => [
      ratePerSecond.toLocaleString('en'),
      ...shown.map((strategy) => {
        const outcome = atRate(strategy, ratePerSecond, expiries)
        return `${fixed(outcome.loadsPerExpiry)}; ${percent(outcome.waitedShare, 3)}`
      }),
    ]),
  }
}

export function atRate(strategy: Strategy, ratePerSecond: number, expiries: number): Outcome {
  const workload = { ratePerSecond, meanLoadMs: 100, loadSigma: 0, ttlMs: 10_000, jitter: 0, estimate: 1 }
  return run(strategy, workload, expiries)
}

export function idleKeys(expiries: number): Table {
  return {
    title: 'Idle keys',
    setting: `XFetch with beta 1 and lease, TTL 10 s, loads of 100 ms; ${expiries} expiries. Unread: the value was replaced or expired before anybody read it.`,
    header: ['requests/s', 'loaded by a refresh', 'refreshes unread', 'loads unread', 'waited'],
    rows: [0.05, 0.2, 1, 5, 20, 100].map((rate) => {
      const outcome = atRate(xfetchLease(1), rate, expiries)
      return [
        String(rate),
        percent(outcome.refreshes / outcome.loads.length, 1),
        percent(outcome.unreadRefreshes / Math.max(1, outcome.refreshes), 1),
        percent(outcome.unreadRefreshes / outcome.loads.length, 1),
        percent(outcome.waitedShare, 1),
      ]
    }),
  }
}

export function shortTtl(expiries: number): Table {
  const base: Workload = { ...IDEAL, ratePerSecond: 500, ttlMs: 1_000 }
  const lines: [string, Strategy, Workload][] = [
    ['xfetch, beta 1 + lease', xfetchLease(1), base],
    ['the same, jitter 0.15', xfetchLease(1), { ...base, jitter: 0.15 }],
    ['xfetch, beta 0.5 + lease', xfetchLease(0.5), base],
    ['fixed head start of 60 ms + lease', fixedHeadStart(60, 1_000), base],
  ]
  return {
    title: 'A short TTL',
    setting: `TTL 1 s, loads of 50 ms, 500 requests/s; ${expiries} expiries. Refreshing early costs what is left of the TTL.`,
    header: ['strategy', 'loads/expiry', 'loads/TTL', 'waited', 'oldest'],
    rows: lines.map(([name, strategy, workload]) => {
      const outcome = run(strategy, workload, expiries)
      return [
        name,
        fixed(outcome.loadsPerExpiry),
        fixed((outcome.loads.length * workload.ttlMs) / outcome.durationMs),
        percent(outcome.waitedShare, 3),
        `${whole(outcome.maxAgeMs)} ms`,
      ]
    }),
  }
}

export function massExpiry(): Table {
  const shown = [ttlLease, xfetchLease(1)]
  return {
    title: '1,000 keys filled together',
    setting: 'Each read 10 times a second, TTL 60 s, loads of 50 ms, leased. Most loads at once when the TTL is over.',
    header: ['jitter', ...shown.map((strategy) => strategy.name)],
    rows: [0, 0.05, 0.15, 0.3].map((jitter) => [
      String(jitter),
      ...shown.map((strategy) => String(simulateMassExpiry(strategy, { ...MASS, jitter }, MASS_RUN).peakLoads)),
    ]),
  }
}

export function waiting(waiters: number): Table {
  const loads: [string, number, boolean, number][] = [
    ['always 50 ms', 0, true, 1],
    ['log-normal, mean 50 ms, sigma 0.2', 0.2, true, 1],
    ['log-normal, mean 50 ms, sigma 0.5', 0.5, true, 1],
    ['sigma 0.2, cost not yet known', 0.2, false, 1],
    ['sigma 0.2, thought half as long', 0.2, true, 0.5],
    ['sigma 0.2, thought twice as long', 0.2, true, 2],
  ]
  return {
    title: "Waiting for another process' fill",
    setting: `Processes that arrive at any time of the load and poll; ${waiters.toLocaleString('en')} waits. Late: from the value being there to the poll that finds it.`,
    header: ['loads', 'polls a wait', 'late, median', 'late, p99'],
    rows: loads.map(([name, sigma, known, misjudged]) => {
      const chance = seededChance(SEED)
      const draw = () => drawLogNormal(50, sigma, chance)
      const result = simulateWaiting(draw, { waiters, known, misjudged }, chance)
      return [
        name,
        fixed(result.meanPolls, 1),
        `${fixed(result.lateMedianMs, 1)} ms`,
        `${fixed(result.lateP99Ms, 1)} ms`,
      ]
    }),
  }
}

export function slotSpread(keys: number): Table {
  return {
    title: 'Copies of a hot key over the shards of a cluster',
    setting: `Shards reached and share of the reads on the busiest one, chosen suffixes / plain numbers; mean over ${keys.toLocaleString('en')} keys.`,
    header: ['copies', '3 shards', '6 shards', '12 shards', 'tries a copy'],
    rows: Array.from({ length: 11 }, (_, i) => i + 2).map((copies) => [
      String(copies),
      ...[3, 6, 12].map((shards) => {
        const chosen = measureSpread(chosenSuffixes, copies, shards, keys)
        const plain = measureSpread(plainSuffixes, copies, shards, keys)
        const share = (spread: { busiest: number }) => `${whole(100 * spread.busiest)} %`
        return `${fixed(chosen.shards, 1)}, ${share(chosen)} / ${fixed(plain.shards, 1)}, ${share(plain)}`
      }),
      fixed(meanTries(copies, keys), 1),
    ]),
  }
}
