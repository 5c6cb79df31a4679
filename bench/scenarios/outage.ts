import { setTimeout as sleep } from 'node:timers/promises'
import { machineMs } from '../../src/core/clock.js'
import { startRedis } from '../../test/support/servers/redis.js'
import { type Contestants, contestants } from '../harness/contestants.js'
import { Worker } from '../harness/crew.js'
import { openPlace } from '../harness/place.js'
import type { ReaderChoice } from '../harness/readers.js'
import { amountOf, atLeast, atMost, type Scenario, type Setting } from '../harness/scenario.js'
import { sharedUntil } from '../harness/shared-clock.js'
import { quantile, summarize } from '../harness/summary.js'
import { placeOnly } from '../harness/throughput.js'
import type { TrafficTalk } from './traffic-worker.js'

const WORKER = new URL('traffic-worker.ts', import.meta.url)
const PER_SECOND = 200
const FRESH_MS = 60_000
/** For the peers that take one; shorter ones fail on an ordinary pause of a busy machine. */
const PEER_DEADLINE_MS = 250
const ROWS = 200_000
/** A read that is answered later might as well not be. */
const IN_TIME_MS = 1_000
/** What a read takes on a good day, several times over: slower ones after the end of the outage show that it is not over yet. */
const SLOW_MS = 50

type Fault = 'frozen' | 'killed'
const FAULTS: readonly Fault[] = ['frozen', 'killed']

/** One contender through one outage. */
interface Survival {
  /** Of the reads asked for during the outage. */
  readonly p99Ms: number
  /** Of the same: the share that was answered within a second. */
  readonly answered: number
  /** From the end of the outage to the last read that was slow or failed; 0 when there was none. */
  readonly recoveryMs: number
}

/** Redis stops answering under a process that reads rows nobody has read before. */
export const outage: Scenario = {
  name: 'outage',
  title: `Redis frozen (SIGSTOP), or killed (SIGKILL) and restarted empty; ${PER_SECOND} cold keys/s; raw: Kysely without a cache`,
  unit: 'p99 of the reads asked for while Redis was frozen, ms',
  async run(setting) {
    const { readers, cannot } = await contestants(setting, FRESH_MS, ['database', 'cache-aside'])
    const rounds = amountOf({ quick: 1, least: 1, full: 3 }, setting)
    const survivals = new Map<string, Survival[]>()
    const place = await openPlace({ rows: ROWS })
    let firstId = 1
    try {
      for (let round = 1; round <= rounds; round++) {
        for (const fault of FAULTS) {
          for (const { name, choice } of readers) {
            setting.note(`${name}, ${fault}, round ${round} of ${rounds}`)
            const own = { ...placeOnly(place), namespace: `outage-${name}-${fault}-${round}` }
            const strict = choice.peer ? { ...choice, peer: { ...choice.peer, deadlineMs: PEER_DEADLINE_MS } } : choice
            const { survival, ids } = await survive(own, strict, fault, firstId, setting)
            firstId += ids
            const key = `${fault} ${name}`
            survivals.set(key, [...(survivals.get(key) ?? []), survival])
          }
        }
      }
    } finally {
      await place.close()
    }
    return findings(readers, cannot, survivals)
  },
}

function findings(readers: Contestants['readers'], cannot: Contestants['cannot'], survivals: Map<string, Survival[]>) {
  const of = (fault: Fault, name: string, figure: keyof Survival) =>
    summarize((survivals.get(`${fault} ${name}`) ?? []).map((survival) => survival[figure]))
  const comparison = (label: string, fault: Fault, figure: keyof Survival) => ({
    label,
    raw: 'database',
    results: Object.fromEntries(readers.map(({ name }) => [name, of(fault, name, figure)])),
  })
  return {
    comparisons: [
      comparison('', 'frozen', 'p99Ms'),
      comparison('frozen: share answered within 1 s', 'frozen', 'answered'),
      comparison('frozen: ms until all is well again', 'frozen', 'recoveryMs'),
      comparison('killed: p99 in ms', 'killed', 'p99Ms'),
      comparison('killed: share answered within 1 s', 'killed', 'answered'),
      comparison('killed: ms until all is well again', 'killed', 'recoveryMs'),
    ] as const,
    targets: FAULTS.flatMap((fault) => [
      atMost(
        `${fault}: p99 of the reads, above that of the database alone`,
        60,
        of(fault, 'corral', 'p99Ms').median - of(fault, 'database', 'p99Ms').median,
        ' ms',
      ),
      atLeast(`${fault}: share answered within 1 s`, 1, of(fault, 'corral', 'answered').min),
    ]),
    remarks: [
      'reads that never came back count with the time until the end of the run',
      ...readers.flatMap(({ name, choice }) =>
        choice.peer
          ? [`${name} is set up with ${choice.peer.tiers === 'both' ? 'memory before Redis' : 'Redis alone'}`]
          : [],
      ),
    ],
    cannot,
  }
}

/** Runs one process through healthy, broken and healed, on a Redis of its own. */
async function survive(
  place: Parameters<TrafficTalk['open']>[0],
  choice: ReaderChoice,
  fault: Fault,
  firstId: number,
  { quick, profileFolder }: Setting,
): Promise<{ readonly survival: Survival; readonly ids: number }> {
  const phase = quick
    ? { healthyMs: 500, brokenMs: 1_500, healedMs: 1_500 }
    : { healthyMs: 1_000, brokenMs: 3_000, healedMs: 3_000 }
  const lengthMs = phase.healthyMs + phase.brokenMs + phase.healedMs
  const redis = await startRedis({ own: true })
  const worker = new Worker<TrafficTalk>(WORKER, { profileFolder })
  try {
    const count = (lengthMs / 1_000) * PER_SECOND
    const practice = 100
    const ids = Array.from({ length: count + practice }, (_, at) => firstId + at)
    await worker.ask('open', { ...place, redisUrl: redis.url }, choice)
    await worker.ask('practise', ids.slice(0, practice))
    const startMs = machineMs() + 50
    const running = worker.ask('run', {
      ids: ids.slice(practice),
      perSecond: PER_SECOND,
      startMs,
      endMs: startMs + lengthMs,
    })
    await sharedUntil(startMs + phase.healthyMs)
    await (fault === 'frozen' ? redis.freeze() : redis.kill())
    const brokenMs = machineMs()
    await sleep(phase.brokenMs)
    await (fault === 'frozen' ? redis.thaw() : redis.restart())
    const healedMs = machineMs()
    const { askedMs, waitsMs, agesMs } = await running
    const reads = Array.from(askedMs, (asked, at) => ({
      askedMs: asked,
      waitMs: waitsMs[at] as number,
      failed: Number.isNaN(agesMs[at]),
    }))
    const during = reads.filter((read) => read.askedMs >= brokenMs && read.askedMs < healedMs)
    const answered = during.filter(({ waitMs, failed }) => !failed && waitMs <= IN_TIME_MS)
    const bad = reads.filter((read) => read.askedMs >= healedMs && (read.failed || read.waitMs > SLOW_MS))
    const survival = {
      p99Ms: quantile(
        during.map(({ waitMs }) => waitMs),
        0.99,
      ),
      answered: answered.length / during.length,
      recoveryMs: Math.max(0, ...bad.map(({ askedMs, waitMs }) => askedMs + waitMs - healedMs)),
    }
    return { survival, ids: ids.length }
  } finally {
    // A client that waits for a Redis which is gone would hold the process for ever.
    await worker.kill()
    await redis.stop()
  }
}
