import { contestants } from '../harness/contestants.js'
import { inPlace, type OpenPlace } from '../harness/place.js'
import type { ReaderChoice } from '../harness/readers.js'
import { amountOf, atMost, type Comparison, type Scenario, type Setting } from '../harness/scenario.js'
import { makeSlow, type SlowTable } from '../harness/slow-table.js'
import { summarize } from '../harness/summary.js'
import { type ModelName, modelRequests } from '../hit-ratio/models.js'
import type { Outcome } from '../hit-ratio/outcome.js'
import { simulate } from '../hit-ratio/simulate.js'
import { STRATEGIES } from '../hit-ratio/strategies.js'
import { fixed, percent, type Table, whole } from '../simulator/table.js'
import { type Played, play } from './hit-ratio-play.js'

const KEYS = 1_000
const PER_SECOND = 500
const FLEET = { ttlMs: 2_000, loadMs: 20, busMs: 1, seed: 1 }
/** A row of its own, so that connecting loads nothing that is counted. */
const PRACTICE_ID = KEYS + 1

/** How a simulated strategy is had on real servers. */
const REAL: Readonly<Record<string, { readonly strategy: keyof typeof STRATEGIES; readonly choice: ReaderChoice }>> = {
  'no cache': { strategy: 'none', choice: { kind: 'database', freshMs: FLEET.ttlMs, l1: false } },
  'cache-aside': { strategy: 'fixed', choice: { kind: 'cache-aside', freshMs: FLEET.ttlMs, l1: false } },
  'corral, L1 off': { strategy: 'lease', choice: { kind: 'corral', freshMs: FLEET.ttlMs, l1: false, countHits: true } },
  corral: { strategy: 'l1', choice: { kind: 'corral', freshMs: FLEET.ttlMs, l1: true, countHits: true } },
  'corral, publishing': {
    strategy: 'publish',
    choice: { kind: 'corral', freshMs: FLEET.ttlMs, l1: true, countHits: true, onWrite: 'publish' },
  },
}

/** A stream and the fleet that gets it. */
interface Case {
  readonly label: string
  readonly model: ModelName
  readonly processes: number
  /** Whether the peers play it too. */
  readonly peers: boolean
}

const CASES: readonly Case[] = [
  { label: 'zipf 0.99, 2 processes', model: 'zipf 0.99', processes: 2, peers: true },
  { label: '25 % writes, 2 processes', model: 'write-heavy', processes: 2, peers: true },
  { label: 'zipf 0.99, 1 process', model: 'zipf 0.99', processes: 1, peers: false },
  { label: 'zipf 0.99, 4 processes', model: 'zipf 0.99', processes: 4, peers: false },
  { label: 'flash crowd, 2 processes', model: 'flash crowd', processes: 2, peers: false },
]

/** One contender in one case. */
interface Cell {
  readonly label: string
  readonly name: string
  readonly played: Played
  /** What the simulator says; undefined for what it does not know. */
  readonly simulated: Outcome | undefined
}

/** What share of reads each way of caching spares the database, on real servers and as the simulator says. */
export const hitRatio: Scenario = {
  name: 'hit-ratio',
  title: `${PER_SECOND} requests/s for ${KEYS} rows, TTL ${FLEET.ttlMs / 1_000} s; ${CASES[0]?.label}, 1 % writes, then other traffic; raw: cache-aside by hand`,
  unit: 'share of reads that cost the database no load',
  run: (setting) =>
    inPlace({ rows: KEYS + 1 }, async (place) => findings(place, await makeSlow(place, FLEET.loadMs), setting)),
}

async function findings(place: OpenPlace, table: SlowTable, setting: Setting) {
  const { readers, cannot } = await contestants(setting, FLEET.ttlMs, [])
  const peers = readers.filter(({ choice }) => choice.peer !== undefined)
  const own = Object.entries(REAL).map(([name, { choice }]) => ({ name, choice }))
  const cells: Cell[] = []
  const seconds = amountOf({ quick: 3, least: 6, full: 12 }, setting)
  for (const { label, model, processes, peers: withPeers } of setting.quick ? CASES.slice(0, 1) : CASES) {
    const requests = modelRequests(model, {
      requests: seconds * PER_SECOND,
      keys: KEYS,
      perSecond: PER_SECOND,
      seed: 11,
    })
    for (const { name, choice } of [...own, ...(withPeers ? peers : [])]) {
      setting.note(`${label}: ${name}, ${seconds} s`)
      const namespace = `hits-${cells.length}`
      const played = await play(table, { namespace, choice, processes, practiceId: PRACTICE_ID }, requests)
      await place.db.updateTable('products').set({ stock: 1 }).execute()
      const strategy = REAL[name]?.strategy
      const simulated = strategy && simulate(requests, STRATEGIES[strategy], { ...FLEET, processes })
      cells.push({ label, name, played, simulated })
    }
  }
  const labels = [...new Set(cells.map(({ label }) => label))]
  const distance = Math.max(
    ...cells.flatMap(({ played, simulated }) =>
      simulated ? Math.abs(sparedShare(simulated) - played.sparedShare) : [],
    ),
  )
  const withoutL1 = cells.filter(({ name }) => name === 'corral, L1 off')
  return {
    comparisons: labels.map((label, at) => ({
      label: at === 0 ? '' : label,
      raw: 'cache-aside',
      results: Object.fromEntries(
        cells.filter((cell) => cell.label === label).map(({ name, played }) => [name, summarize([played.sparedShare])]),
      ),
    })) as unknown as [Comparison, ...Comparison[]],
    targets: [
      atMost('furthest the simulator is off, of all reads', 0.05, distance),
      atMost('stale reads, L1 off', 0, Math.max(...withoutL1.map(({ played }) => played.staleShare))),
    ],
    remarks: [
      `${cells.reduce((sum, { played }) => sum + played.failures, 0)} reads and writes failed`,
      `publishing looks once more whether the row is still what its statement returned; stamps read by its writes, not among the loads: ${stampsRead(cells)}`,
    ],
    tables: [tableOf(cells)],
    cannot,
  }
}

function stampsRead(cells: readonly Cell[]): string {
  const found = cells.filter(({ played }) => played.stampsRead > 0)
  return found.map(({ label, played }) => `${played.stampsRead} (${label})`).join(', ') || 'none'
}

function sparedShare({ loads, reads }: Outcome): number {
  return 1 - loads / reads
}

/** Real servers beside the simulator, so that one can see how far to trust it. */
function tableOf(cells: readonly Cell[]): Table {
  return {
    name: 'real-and-simulated',
    title: 'On real servers, and in brackets as the simulator says',
    setting: 'Shares are of the reads. Peers do not tell what their memory answered, and are not simulated.',
    header: ['traffic', 'contender', 'spared', 'in L1', 'in L2', 'loads', 'p99 wait, ms', 'stale'],
    rows: cells.map(({ label, name, played, simulated }) => {
      const counted = played.l1Share + played.l2Share > 0
      const beside = (real: string, foretold: string | undefined) =>
        foretold === undefined ? real : `${real} (${foretold})`
      const tier = (real: number, foretold: number | undefined) =>
        counted ? beside(percent(real, 1), foretold === undefined ? undefined : percent(foretold, 1)) : '–'
      return [
        label,
        name,
        beside(percent(played.sparedShare, 1), simulated && percent(sparedShare(simulated), 1)),
        tier(played.l1Share, simulated?.l1Share),
        tier(played.l2Share, simulated?.l2Share),
        beside(whole(played.loads), simulated && whole(simulated.loads)),
        beside(fixed(played.p99WaitMs, 0), simulated && fixed(simulated.p99WaitMs, 0)),
        beside(percent(played.staleShare), simulated && percent(simulated.staleShare)),
      ]
    }),
  }
}
