import { machineMs } from '../../src/core/clock.js'
import { Worker } from '../harness/crew.js'
import type { Place } from '../harness/place.js'
import type { ReaderChoice } from '../harness/readers.js'
import type { Setting } from '../harness/scenario.js'
import type { SlowTable } from '../harness/slow-table.js'
import { quantile } from '../harness/summary.js'
import type { Burst, BurstTalk } from './burst-worker.js'

const WORKER = new URL('burst-worker.ts', import.meta.url)
/** Bursts each process makes of keys of its own before the first trial, so that its leases fit the load. */
const WARM_UP_BURSTS = 40
const QUICK_WARM_UP_BURSTS = 16
/** The same for a process that takes the place of one that was killed: what such trials count are loads. */
const SUBSTITUTE_BURSTS = 12
/** Trials of practice: after as many a process takes no more processor time for the next one. */
const PRACTICE_TRIALS = 150
const QUICK_PRACTICE_TRIALS = 10
/** From the order to the start: long enough for every process to have heard it. */
const LEAD_MS = 40

/** One cold key, asked for by all processes at once. */
export interface Trial {
  /** As Postgres counted them. */
  readonly loads: number
  readonly bursts: readonly Burst[]
  /** How long the load took, as the process that made it saw it. Undefined: that process did not live to tell. */
  readonly loadMs: number | undefined
}

export interface FleetOptions {
  readonly table: SlowTable
  readonly choice: ReaderChoice
  readonly processes: number
  readonly reads: number
  /** Draws ids that nobody has read yet. */
  readonly coldId: () => number
  readonly setting: Setting
}

/** Processes that are sent after cold keys together. */
export class BurstFleet {
  readonly #options: FleetOptions
  readonly #place: Place
  #workers: Worker<BurstTalk>[] = []

  /** @param namespace of this fleet's own, so that fleets do not warm each other's cache. */
  constructor(options: FleetOptions, namespace: string) {
    this.#options = options
    this.#place = { ...options.table.place, namespace }
  }

  async open(): Promise<void> {
    const { processes, table, setting } = this.#options
    const bursts = setting.quick ? QUICK_WARM_UP_BURSTS : WARM_UP_BURSTS
    this.#workers = await Promise.all(Array.from({ length: processes }, () => this.#hire(bursts)))
    await table.takeLoads()
  }

  /**
   * Trials that do not count, before ones whose waits do: what is measured are processes that have been running. Alone none of them has ever waited for another's load, and
   * its first bursts leave most of what a read goes through to V8's interpreter, which takes twice the processor time of compiled code.
   */
  async practise(): Promise<void> {
    const { setting } = this.#options
    const trials = setting.quick ? QUICK_PRACTICE_TRIALS : PRACTICE_TRIALS
    setting.note(`${trials} trials of practice`)
    for (let at = 0; at < trials; at++) await this.trial()
  }

  /** One trial; with `killLoader` the first process that sends a SELECT gets SIGKILL before its answer. */
  async trial({ killLoader = false } = {}): Promise<Trial> {
    const { reads, coldId, table, setting } = this.#options
    for (let attempt = 0; attempt < 10; attempt++) {
      const id = coldId()
      const startMs = machineMs() + LEAD_MS
      const victims = killLoader ? this.#killFirstLoader() : []
      const answers = await Promise.allSettled(
        this.#workers.map((worker) => worker.ask('burst', id, reads, startMs, killLoader)),
      )
      const lost = answers.filter(({ status }) => status === 'rejected')
      if (lost.length > victims.length) throw (lost[0] as PromiseRejectedResult).reason
      const bursts = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []))
      const trial = { loads: await table.takeLoads(), bursts, loadMs: loadMsOf(bursts) }
      await this.#replace(victims)
      if (beganTogether(trial)) return trial
      setting.note('a process came too late to take part; the trial is repeated')
    }
    throw new Error('the machine is too busy to start its processes together')
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.ask('close').catch(() => {})))
    await Promise.all(this.#workers.map((worker) => worker.stop()))
  }

  async #hire(bursts: number): Promise<Worker<BurstTalk>> {
    const { choice, coldId, reads, setting } = this.#options
    const worker = new Worker<BurstTalk>(WORKER, { profileFolder: setting.profileFolder })
    // Reads of the hand-written kind are so many loads, for which the pool has ten connections.
    const warmUp = choice.kind === 'corral' || choice.kind === 'message' ? { bursts, reads } : { bursts: 1, reads: 10 }
    const ids = Array.from({ length: warmUp.bursts }, coldId)
    await worker.ask('open', this.#place, choice, { ids, reads: warmUp.reads })
    return worker
  }

  /** The list that is returned holds the victim as soon as there is one. */
  #killFirstLoader(): Worker<BurstTalk>[] {
    const victims: Worker<BurstTalk>[] = []
    for (const worker of this.#workers) {
      worker.onSaid = () => {
        if (victims.length > 0) return
        victims.push(worker)
        void worker.kill()
      }
    }
    return victims
  }

  async #replace(victims: readonly Worker<BurstTalk>[]): Promise<void> {
    this.#workers = this.#workers.filter((worker) => !victims.includes(worker))
    for (const worker of this.#workers) worker.onSaid = () => {}
    this.#workers.push(...(await Promise.all(victims.map(() => this.#hire(SUBSTITUTE_BURSTS)))))
    await this.#options.table.takeLoads()
  }
}

function loadMsOf(bursts: readonly Burst[]): number | undefined {
  const loads = bursts.flatMap(({ loads }) => loads)
  return loads.length === 0
    ? undefined
    : quantile(
        loads.map(({ startedMs, endedMs }) => endedMs - startedMs),
        0.5,
      )
}

/** A process that begins after the load is over makes a load of its own by right, if that load failed. */
function beganTogether({ bursts }: Trial): boolean {
  const firstEndMs = Math.min(...bursts.flatMap(({ loads }) => loads.map(({ endedMs }) => endedMs)))
  return bursts.every(({ startedMs }) => startedMs < firstEndMs)
}
