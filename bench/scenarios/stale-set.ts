import { setTimeout as sleep } from 'node:timers/promises'
import { machineMs } from '../../src/core/clock.js'
import { contestants } from '../harness/contestants.js'
import { Worker } from '../harness/crew.js'
import { inPlace, type OpenPlace } from '../harness/place.js'
import type { ReaderChoice } from '../harness/readers.js'
import { amountOf, atMost, type Scenario, type Setting } from '../harness/scenario.js'
import { makeSlow, type SlowTable } from '../harness/slow-table.js'
import { summarize } from '../harness/summary.js'
import { placeOnly } from '../harness/throughput.js'
import type { StaleSetTalk } from './stale-set-worker.js'

const WORKER = new URL('stale-set-worker.ts', import.meta.url)
const FRESH_MS = 60_000
/** Rows that are raced for at once: no more than the pool has connections, so that each SELECT starts at once. */
const ROWS_AT_ONCE = 8
const TRIALS_A_ROUND = 96
/** The SELECT's snapshot is taken before this much of its time has passed, and the write is over before the rest has. */
const LOAD_MS = 120
const WRITE_AFTER_MS = 25
/** For messages between the processes. */
const SETTLE_MS = 50
/** What a row's `stock` is set to. Rows are made with less than 50. */
const WRITTEN = 1_000_000

/** The race that leaves old rows in caches until they expire. */
export const staleSet: Scenario = {
  name: 'stale-set',
  title: 'a SELECT sees the old row, another process writes it and invalidates, the reader stores what it saw',
  unit: `trials of ${TRIALS_A_ROUND} after which the old row was still served`,
  run: (setting) =>
    inPlace({ rows: 40_000 }, async (place) => findings(place, await makeSlow(place, LOAD_MS), setting)),
}

async function findings(place: OpenPlace, table: SlowTable, setting: Setting) {
  const { readers, cannot } = await contestants(setting, FRESH_MS, ['cache-aside'])
  const rounds = amountOf({ quick: 2, least: 2, full: 6 }, setting)
  let id = 1
  const results = new Map<string, number[]>(readers.map(({ name }) => [name, []]))
  let repeated = 0
  for (let round = 1; round <= rounds; round++) {
    for (const { name, choice } of readers) {
      setting.note(`${name}, round ${round} of ${rounds}`)
      const outcome = await runRound(place, table, `stale-${name}-${round}`, choice, () => id++)
      repeated += outcome.repeated
      results.get(name)?.push(outcome.stale)
    }
  }
  const all = rounds * TRIALS_A_ROUND
  const stale = Object.fromEntries([...results].map(([name, counts]) => [name, counts.reduce((a, b) => a + b, 0)]))
  return {
    comparisons: [
      {
        label: '',
        raw: 'cache-aside',
        results: Object.fromEntries([...results].map(([name, counts]) => [name, summarize(counts)])),
      },
    ] as const,
    targets: [atMost(`stale trials of ${all}`, 0, stale.corral ?? Number.NaN)],
    remarks: [
      `stale of ${all} trials each: ${Object.entries(stale)
        .map(([name, count]) => `${name} ${count}`)
        .join(', ')}`,
      `in every trial the write was acknowledged while the reader's SELECT was under way; ${repeated} batches of ${ROWS_AT_ONCE} where it was not were repeated`,
    ],
    cannot,
  }
}

async function runRound(
  place: OpenPlace,
  table: SlowTable,
  namespace: string,
  choice: ReaderChoice,
  nextId: () => number,
) {
  const reader = new Worker<StaleSetTalk>(WORKER)
  const writer = new Worker<StaleSetTalk>(WORKER)
  try {
    // The writer owns the table, so that its statements cost nothing: it is always done before the reader.
    await Promise.all([
      reader.ask('open', { ...table.place, namespace }, choice, nextId()),
      writer.ask('open', { ...placeOnly(place), namespace }, choice, nextId()),
    ])
    const outcome = { stale: 0, repeated: 0 }
    for (let trials = 0; trials < TRIALS_A_ROUND; ) {
      const ids = Array.from({ length: ROWS_AT_ONCE }, nextId)
      const raced = await race(reader, writer, ids)
      await sleep(SETTLE_MS)
      const served = [await writer.ask('read', ids), await reader.ask('read', ids)]
      // On a busy machine a write can come too late to overtake every SELECT: that proves nothing about anybody.
      if (raced < ids.length) {
        if (++outcome.repeated > TRIALS_A_ROUND)
          throw new Error('the machine is too busy: hardly a write overtakes a SELECT')
        continue
      }
      outcome.stale += ids.filter((_, at) => served.some(({ stocks }) => stocks[at] !== WRITTEN)).length
      trials += ids.length
    }
    await Promise.all([reader.ask('close'), writer.ask('close')])
    return outcome
  } finally {
    await Promise.all([reader.stop(), writer.stop()])
  }
}

/** Resolves when both are done, with how many rows a SELECT read before the write began and returned after it was acknowledged. */
async function race(
  reader: Worker<StaleSetTalk>,
  writer: Worker<StaleSetTalk>,
  ids: readonly number[],
): Promise<number> {
  const loading = new Promise<void>((resolve) => {
    reader.onSaid = () => resolve()
  })
  const reading = reader.ask('read', ids)
  await Promise.race([loading, reading])
  await sleep(WRITE_AFTER_MS)
  const writeMs = machineMs()
  await writer.ask('update', ids, WRITTEN)
  const writtenMs = machineMs()
  const { loads } = await reading
  const overtaken = loads.filter(({ startedMs, endedMs }) => startedMs < writeMs && endedMs > writtenMs)
  return Math.min(
    ids.length,
    overtaken.reduce((sum, { rows }) => sum + rows, 0),
  )
}
