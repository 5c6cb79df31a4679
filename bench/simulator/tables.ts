import { meanHeadStartMs, refreshesPerExpiry } from './closed-form.js'
import { drawLogNormal } from './log-normal.js'
import { simulateMassExpiry } from './many-keys.js'
import { simulateKey, type Workload } from './one-key.js'
import { seededChance } from './seeded-chance.js'
import { chosenSuffixes, meanTries, measureSpread, plainSuffixes } from './slot-spread.js'
import {
  cappedLease,
  fixedHeadStart,
  type Strategy,
  shipped,
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

/** Every table of docs/design/early-refresh.md. `scale` 1: as they stand there. */
export function allTables(scale: number): Table[] {
  return [
    strategies(1_000 * scale),
    closedForm(5_000 * scale),
    requestRate(500 * scale),
    loadCost(500 * scale),
    headStart(2_000 * scale),
    estimateError(2_000 * scale),
    shortTtl(2_000 * scale),
    idleKeys(2_000 * scale),
    massExpiry(),
    waiting(20_000 * scale),
    slotSpread(1_000 * scale),
  ]
}

function strategies(expiries: number): Table {
  const all = [
    ttl,
    ttlLease,
    staleWhileRevalidate,
    xfetch(1),
    xfetch(2),
    xfetchLease(1),
    shipped,
    fixedHeadStart(180, BUSY.ttlMs),
  ]
  return {
    name: 'strategies',
    title: 'Strategies',
    setting: `One key, 1,000 requests/s, TTL 10 s, loads log-normal (mean 90 ms, sigma 0.5), cost estimated by \`LoadCost\`; ${expiries} expiries.`,
    header: ['strategy', 'loads/expiry', 'loads/TTL', 'peak loads', 'waited', 'p99.9 wait', 'mean age', 'oldest'],
    rows: all.map((strategy) => {
      const outcome = run(strategy, BUSY, expiries)
      return [
        strategy.name,
        fixed(outcome.loadsPerExpiry),
        fixed(perTtl(outcome, BUSY)),
        whole(outcome.peakLoads),
        percent(outcome.waitedShare, 3),
        `${whole(outcome.p999WaitMs)} ms`,
        `${fixed(outcome.meanAgeMs / 1_000, 1)} s`,
        `${fixed(outcome.maxAgeMs / 1_000, 1)} s`,
      ]
    }),
  }
}

function closedForm(expiries: number): Table {
  return {
    name: 'closed-form',
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

function estimateError(expiries: number): Table {
  const errors = [
    ['a third', 1 / 3],
    ['half', 1 / 2],
    ['exact', 1],
    ['double', 2],
  ] as const
  return {
    name: 'wrong-estimate',
    title: 'A wrong estimate',
    setting: `Loads an expiry at beta 1, 20,000 requests/s, loads of 50 ms; ${expiries} expiries. As shipped: and how long a request waited at most. Last column: 20 requests/s, loads log-normal (mean 500 ms, sigma 0.5), so that a lease of three estimates may run out under its holder.`,
    header: ['estimate', 'xfetch', 'closed form', 'xfetch + lease', 'as shipped', 'slow loads, leased'],
    rows: errors.map(([name, estimate]) => {
      const workload = { ...IDEAL, ratePerSecond: SENSITIVITY_RATE, estimate }
      const slow = { ...IDEAL, ratePerSecond: 20, meanLoadMs: 500, loadSigma: 0.5, estimate }
      return [
        name,
        fixed(run(xfetch(1), workload, expiries).loadsPerExpiry),
        fixed(refreshesPerExpiry(1, 1, estimate)),
        fixed(run(xfetchLease(1), workload, expiries).loadsPerExpiry),
        loadsAndWait(run(shipped, workload, expiries)),
        fixed(run(xfetchLease(1), slow, expiries).loadsPerExpiry),
      ]
    }),
  }
}

function loadsAndWait({ loadsPerExpiry, longestWaitMs }: Outcome): string {
  return `${fixed(loadsPerExpiry)}; ${whole(longestWaitMs)} ms`
}

export const RATES = [0.1, 1, 10, 100, 1_000, 10_000]
const SHOWN = [ttl, ttlLease, staleWhileRevalidate, xfetch(1), xfetchLease(1), shipped]

function requestRate(expiries: number): Table {
  return {
    name: 'request-rate',
    title: 'Request rate',
    setting: `TTL 10 s, loads of 100 ms, exact estimate; ${expiries} expiries. In each cell: loads an expiry; share of requests that waited.`,
    header: ['requests/s', ...SHOWN.map((strategy) => strategy.name)],
    rows: RATES.map((rate) => [
      rate.toLocaleString('en'),
      ...SHOWN.map((strategy) => loadsAndWaits(atRate(strategy, rate, expiries))),
    ]),
  }
}

function loadCost(expiries: number): Table {
  return {
    name: 'load-cost',
    title: 'Load cost',
    setting: `TTL 10 s, 1,000 requests/s, loads log-normal (sigma 0.3), cost estimated by \`LoadCost\`; ${expiries} expiries. In each cell: loads an expiry; share of requests that waited.`,
    header: ['mean load', ...SHOWN.map((strategy) => strategy.name)],
    rows: [5, 20, 100, 500, 1_000].map((meanLoadMs) => [
      `${meanLoadMs} ms`,
      ...SHOWN.map((strategy) => loadsAndWaits(run(strategy, { ...BUSY, loadSigma: 0.3, meanLoadMs }, expiries))),
    ]),
  }
}

function loadsAndWaits({ loadsPerExpiry, waitedShare }: Outcome): string {
  return `${fixed(loadsPerExpiry)}; ${percent(waitedShare, 3)}`
}

/** What an earlier start buys under a lease, and what it costs. */
function headStart(expiries: number): Table {
  const workload = { ...BUSY, ttlMs: 2_000, meanLoadMs: 50, loadSigma: 0.3 }
  const strategies = [
    ...[0.5, 1, 2].map((beta): [string, string, Strategy] => [String(beta), 'none', xfetchLease(beta)]),
    ...[1, 2, 4].flatMap((beta) =>
      [1, 1.5, 2.5].map((most): [string, string, Strategy] => [String(beta), String(most), cappedLease(beta, most)]),
    ),
  ]
  const rates = [20, 500, 5_000]
  return {
    name: 'head-start',
    title: 'Beta and the cap on the head start, under a lease',
    setting: `TTL 2 s, loads log-normal (mean 50 ms, sigma 0.3), cost estimated by \`LoadCost\`; ${expiries} expiries. In each cell: loads a TTL; share of requests that waited.`,
    header: ['beta', '`maxLoads`', ...rates.map((rate) => `${rate.toLocaleString('en')} requests/s`)],
    rows: strategies.map(([beta, most, strategy]) => [
      beta,
      most,
      ...rates.map((ratePerSecond) => {
        const outcome = run(strategy, { ...workload, ratePerSecond }, expiries)
        return `${fixed(perTtl(outcome, workload))}; ${percent(outcome.waitedShare, 3)}`
      }),
    ]),
  }
}

function perTtl({ loads, durationMs }: Outcome, { ttlMs }: Workload): number {
  return (loads.length * ttlMs) / durationMs
}

export function atRate(strategy: Strategy, ratePerSecond: number, expiries: number): Outcome {
  const workload = { ratePerSecond, meanLoadMs: 100, loadSigma: 0, ttlMs: 10_000, jitter: 0, estimate: 1 }
  return run(strategy, workload, expiries)
}

function idleKeys(expiries: number): Table {
  return {
    name: 'idle-keys',
    title: 'Idle keys',
    setting: `As shipped, TTL 10 s, loads of 100 ms; ${expiries} expiries. Unread: the value was replaced or expired before anybody read it.`,
    header: ['requests/s', 'loaded by a refresh', 'refreshes unread', 'loads unread', 'waited'],
    rows: [0.05, 0.2, 1, 5, 20, 100].map((rate) => {
      const outcome = atRate(shipped, rate, expiries)
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

function shortTtl(expiries: number): Table {
  const base: Workload = { ...IDEAL, ratePerSecond: 500, ttlMs: 1_000 }
  const lines: [string, Strategy, Workload][] = [
    ['xfetch, beta 1 + lease', xfetchLease(1), base],
    ['xfetch, beta 0.5 + lease', xfetchLease(0.5), base],
    ['as shipped', shipped, base],
    ['as shipped, jitter 0.15', shipped, { ...base, jitter: 0.15 }],
    ['as shipped, 5,000 requests/s', shipped, { ...base, ratePerSecond: 5_000 }],
    ['fixed head start of 60 ms + lease', fixedHeadStart(60, 1_000), base],
  ]
  return {
    name: 'short-ttl',
    title: 'A short TTL',
    setting: `TTL 1 s, loads of 50 ms, exact estimate, 500 requests/s; ${expiries} expiries. Refreshing early costs what is left of the TTL.`,
    header: ['strategy', 'loads/expiry', 'loads/TTL', 'waited', 'oldest'],
    rows: lines.map(([name, strategy, workload]) => {
      const outcome = run(strategy, workload, expiries)
      return [
        name,
        fixed(outcome.loadsPerExpiry),
        fixed(perTtl(outcome, workload)),
        percent(outcome.waitedShare, 3),
        `${whole(outcome.maxAgeMs)} ms`,
      ]
    }),
  }
}

function massExpiry(): Table {
  const shown = [ttlLease, shipped]
  return {
    name: 'mass-expiry',
    title: '1,000 keys filled together',
    setting: 'Each read 10 times a second, TTL 60 s, loads of 50 ms, leased. Most loads at once when the TTL is over.',
    header: ['jitter', ...shown.map((strategy) => strategy.name)],
    rows: [0, 0.05, 0.15, 0.3].map((jitter) => [
      String(jitter),
      ...shown.map((strategy) => String(simulateMassExpiry(strategy, { ...MASS, jitter }, MASS_RUN).peakLoads)),
    ]),
  }
}

function waiting(waiters: number): Table {
  const loads: [string, number, boolean, number][] = [
    ['always 50 ms', 0, true, 1],
    ['log-normal, mean 50 ms, sigma 0.2', 0.2, true, 1],
    ['log-normal, mean 50 ms, sigma 0.5', 0.5, true, 1],
    ['sigma 0.2, cost not yet known', 0.2, false, 1],
    ['sigma 0.2, thought half as long', 0.2, true, 0.5],
    ['sigma 0.2, thought twice as long', 0.2, true, 2],
  ]
  return {
    name: 'waiting',
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

function slotSpread(keys: number): Table {
  return {
    name: 'copies',
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
