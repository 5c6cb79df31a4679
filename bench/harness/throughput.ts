import { builtModule } from './built.js'
import { type Talk, Worker } from './crew.js'
import type { OpenPlace, Place } from './place.js'
import type { Comparison, Setting } from './scenario.js'
import { type Summary, summarize } from './summary.js'

/** One way of doing a thing, opened in a process of its own. */
export interface Contender {
  /** For each workload: does it this many times. Must throw when an answer is not what it should be. */
  readonly workloads: Readonly<Record<string, (times: number) => Promise<void>>>
  /** Brings everything into the state that is to be measured; called before each slice, outside of the time taken. */
  prepare?(): Promise<void>
  close(): Promise<void>
}

/** What a contenders' module exports as `contenders`: by name, in the order of their rows. */
export type Contenders = Readonly<Record<string, (place: Place) => Promise<Contender>>>

/** One stretch of work. */
export interface Slice {
  readonly times: number
  readonly elapsedMs: number
  /** Processor time of this process, kernel included. */
  readonly cpuMs: number
}

export interface ThroughputTalk extends Talk {
  open(module: string, contender: string, place: Place): Promise<void>
  slice(workload: string, durationMs: number): Promise<Slice>
  close(): Promise<void>
}

export interface ThroughputOptions {
  readonly place: OpenPlace
  /** Module that exports `contenders`. */
  readonly module: URL
  readonly contenders: readonly string[]
  /** Contenders that are in other modules, by name. */
  readonly elsewhere?: Readonly<Record<string, URL>>
  readonly workloads: readonly string[]
  /** How many times the contenders are started anew: what the compiler makes of one start is partly luck. */
  readonly crews: number
  /** Turns that each crew gives each contender before anything counts: those are for the compilers. Default: 1. */
  readonly warmRounds?: number
  /** Turns that each crew gives each contender. */
  readonly rounds: number
  readonly sliceMs: number
  readonly setting: Setting
}

/** By workload and contender. */
export type Throughput = Readonly<Record<string, Readonly<Record<string, Speed>>>>

export interface Speed {
  /** Operations a second by the clock on the wall. */
  readonly perSecond: Summary
  /** Operations a second of processor time: what a machine that has other things to do does not change. */
  readonly perCpuSecond: Summary
}

const WORKER = new URL('throughput-worker.ts', import.meta.url)

/**
 * Measures each contender in a process of its own, so that none is compiled for what another does, and one at a time in
 * short turns, so that whatever else the machine is doing hits all of them alike. The order changes from round to round.
 */
export async function measureThroughput(options: ThroughputOptions): Promise<Throughput> {
  const { contenders, workloads, crews, setting } = options
  const slices = new Map<string, Slice[]>()
  for (let crew = 1; crew <= crews; crew++) {
    setting.note(`crew ${crew} of ${crews}`)
    await measureCrew(options, (workload, name, slice) => {
      const key = `${workload}\n${name}`
      slices.set(key, [...(slices.get(key) ?? []), slice])
    })
  }
  const speedsOf = (workload: string) =>
    contenders.map((name) => [name, speedOf(slices.get(`${workload}\n${name}`) ?? [])] as const)
  return Object.fromEntries(workloads.map((workload) => [workload, Object.fromEntries(speedsOf(workload))]))
}

async function measureCrew(
  { place, module, contenders, elsewhere = {}, workloads, warmRounds = 1, rounds, sliceMs, setting }: ThroughputOptions,
  keep: (workload: string, contender: string, slice: Slice) => void,
): Promise<void> {
  const workers = contenders.map((name) => ({ name, worker: openWorker(setting) }))
  try {
    await Promise.all(
      workers.map(({ name, worker }) =>
        worker.ask('open', builtModule(elsewhere[name] ?? module).href, name, placeOnly(place)),
      ),
    )
    for (let round = 0; round < warmRounds + rounds; round++) {
      for (const workload of workloads) {
        for (let turn = 0; turn < workers.length; turn++) {
          const { name, worker } = workers[(turn + round) % workers.length] as (typeof workers)[number]
          const slice = await worker.ask('slice', workload, sliceMs)
          if (round >= warmRounds) keep(workload, name, slice)
        }
      }
    }
    await Promise.all(workers.map(({ worker }) => worker.ask('close')))
  } finally {
    await Promise.all(workers.map(({ worker }) => worker.stop()))
  }
}

function openWorker({ profileFolder }: Setting): Worker<ThroughputTalk> {
  return new Worker<ThroughputTalk>(WORKER, { profileFolder })
}

/** The speeds of one workload, as a scenario reports them. */
export function speeds(throughput: Throughput, workload: string, by: keyof Speed, raw: string): Comparison {
  const contenders = Object.entries(throughput[workload] ?? {})
  return { label: workload, raw, results: Object.fromEntries(contenders.map(([name, speed]) => [name, speed[by]])) }
}

/** Only what can travel to another process. */
export function placeOnly({ postgresUrl, redisUrl, namespace }: Place): Place {
  return { postgresUrl, redisUrl, namespace }
}

function speedOf(slices: readonly Slice[]): Speed {
  return {
    perSecond: summarize(slices.map(({ times, elapsedMs }) => (times / elapsedMs) * 1_000)),
    perCpuSecond: summarize(slices.map(({ times, cpuMs }) => (times / cpuMs) * 1_000)),
  }
}
