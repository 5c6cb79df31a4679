import { openPlace } from '../harness/place.js'
import { atMost, type Scenario, type Setting, type Target } from '../harness/scenario.js'
import { makeSlow, type SlowTable } from '../harness/slow-table.js'
import { quantile, summarize } from '../harness/summary.js'
import { BurstFleet, type FleetOptions, type Trial } from './burst-fleet.js'

const ROWS = 5_000
const PROCESSES = 8
const READS = 500
const LOAD_MS = 50
const FRESH_MS = 60_000

/** A cold key and a whole fleet that asks for it. */
export const fleetStampede: Scenario = {
  name: 'fleet-stampede',
  title: `cold key, ${PROCESSES} processes x ${READS} reads at once, ${LOAD_MS} ms load; raw: cache-aside by hand`,
  unit: 'loads per trial',
  async run(setting) {
    const place = await openPlace({ rows: ROWS })
    try {
      const table = await makeSlow(place, LOAD_MS)
      return await findings(table, setting)
    } finally {
      await place.close()
    }
  },
}

async function findings(table: SlowTable, setting: Setting) {
  let id = 0
  const options: Omit<FleetOptions, 'choice'> = {
    table,
    setting,
    processes: PROCESSES,
    reads: READS,
    coldId: () => ++id,
  }
  const trials = setting.quick
    ? { plain: 10, failing: 6, killed: 2, byHand: 1, message: 8 }
    : { plain: 50, failing: 50, killed: 50, byHand: 5, message: 50 }

  const fleet = new BurstFleet({ ...options, choice: { kind: 'corral', freshMs: FRESH_MS, l1: true } }, 'fleet')
  await fleet.open()
  await fleet.practise()
  const plain = await repeat('loads that succeed', trials.plain, setting, () => fleet.trial())
  await table.setPrice({ ms: LOAD_MS, fails: true })
  await fleet.practise()
  const failing = await repeat('loads that fail', trials.failing, setting, () => fleet.trial())
  await table.setPrice({ ms: LOAD_MS, fails: false })
  const killed = await repeat('loader killed', trials.killed, setting, () => fleet.trial({ killLoader: true }))
  await fleet.close()

  const beside = async (kind: 'message' | 'cache-aside', what: string, times: number) => {
    const others = new BurstFleet({ ...options, choice: { kind, freshMs: FRESH_MS, l1: false } }, kind)
    await others.open()
    if (kind === 'message') await others.practise()
    const made = await repeat(what, times, setting, () => others.trial())
    await others.close()
    return made
  }
  // What the processors leave room for: p99 of Corral's reads is to be read beside this.
  const message = await beside('message', 'a lock and a message', trials.message)
  const byHand = await beside('cache-aside', 'cache-aside by hand', trials.byHand)

  const compared = (trials: readonly Trial[]) => ({
    corral: summarize(trials.map(({ loads }) => loads)),
    'cache-aside': summarize(byHand.map(({ loads }) => loads)),
  })
  return {
    comparisons: [
      { label: '', raw: 'cache-aside', results: compared(plain) },
      { label: 'loads fail', raw: 'cache-aside', results: { ...compared(failing) } },
      { label: 'loader killed', raw: 'cache-aside', results: { ...compared(killed) } },
    ] as const,
    targets: [
      exactlyOneLoad('loads that succeed', plain),
      waits('loads that succeed', plain),
      exactlyOneLoad('loads that fail', failing),
      waits('loads that fail', failing),
      atMost(`loader killed: most loads in ${killed.length} trials`, 2, worst(killed)),
    ],
    remarks: [
      `p99 of each trial's reads: ${described(plain)} ms; of each trial with a load that fails: ${described(failing)} ms`,
      `the least possible, a lock and a message: p99 / load time ${p99OverLoad(message).toFixed(2)}; of each trial's reads: ${described(message)} ms; processor time ${processorTime(message)} ms`,
      `loads took ${median(plain).toFixed(1)} ms; ${failedReads(plain) + failedReads(killed)} of the reads of loads that can succeed failed`,
      `processor time of one process and trial: ${processorTime(plain)} ms; where loads fail ${processorTime(failing)} ms`,
      `loads that fail: ${failedReads(failing)} of ${failing.length * PROCESSES * READS} reads were refused`,
      `loader killed: the slowest read of the others took ${slowest(killed).toFixed(0)} ms`,
    ],
  }
}

async function repeat(what: string, times: number, { note }: Setting, trial: () => Promise<Trial>): Promise<Trial[]> {
  const trials: Trial[] = []
  for (let at = 0; at < times; at++) {
    if (at % 10 === 0) note(`${what}, trial ${at + 1} of ${times}`)
    trials.push(await trial())
  }
  return trials
}

function exactlyOneLoad(what: string, trials: readonly Trial[]): Target {
  const others = trials.filter(({ loads }) => loads !== 1).length
  const found = others === 0 ? '1 in every trial' : `another number in ${others} trials, at most ${worst(trials)}`
  return { what: `${what}: loads in each of ${trials.length} trials`, wanted: '1', found, met: others === 0 }
}

function waits(what: string, trials: readonly Trial[]): Target {
  return atMost(`${what}: p99 of the reads / load time`, 1.3, p99OverLoad(trials))
}

function p99OverLoad(trials: readonly Trial[]): number {
  const all = trials.flatMap(({ bursts }) => bursts.flatMap(({ waitsMs }) => [...waitsMs]))
  return quantile(all, 0.99) / median(trials)
}

/** How a whole fleet fared in the middle and in the worst of the trials: the target's p99 is of all reads of all trials. */
function described(trials: readonly Trial[]): string {
  const each = trials.map(({ bursts }) =>
    quantile(
      bursts.flatMap(({ waitsMs }) => [...waitsMs]),
      0.99,
    ),
  )
  return `median ${quantile(each, 0.5).toFixed(1)}, worst ${quantile(each, 1).toFixed(1)}`
}

function worst(trials: readonly Trial[]): number {
  return Math.max(...trials.map(({ loads }) => loads))
}

function median(trials: readonly Trial[]): number {
  return quantile(
    trials.flatMap(({ loadMs }) => loadMs ?? []),
    0.5,
  )
}

function processorTime(trials: readonly Trial[]): string {
  return quantile(
    trials.flatMap(({ bursts }) => bursts.map(({ cpuMs }) => cpuMs)),
    0.5,
  ).toFixed(1)
}

function failedReads(trials: readonly Trial[]): number {
  return trials.reduce((sum, { bursts }) => sum + bursts.reduce((failed, { failures }) => failed + failures, 0), 0)
}

function slowest(trials: readonly Trial[]): number {
  return Math.max(...trials.flatMap(({ bursts }) => bursts.map(({ waitsMs }) => quantile(waitsMs, 1))))
}
