import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { machineMs } from '../../src/core/clock.js'
import type { Place } from './connect.js'
import type { Order, Report, WorkerLog } from './messages.js'
import type { SideName } from './side.js'

const WORKER = fileURLToPath(new URL('./worker.ts', import.meta.url))

export interface FleetProgress {
  readonly reads: number
  readonly writes: number
}

/** The shop's processes: starts them, checks their clocks, sets them off together and collects what they wrote down. */
export class Fleet {
  readonly #members: readonly Member[]

  private constructor(members: readonly Member[]) {
    this.#members = members
  }

  /** Resolves when every process is connected and its clock is known to be ours. */
  static async start(size: number, side: SideName, place: Place): Promise<Fleet> {
    const members = Array.from({ length: size }, () => new Member())
    const fleet = new Fleet(members)
    try {
      await Promise.all(
        members.map(async (member, worker) => {
          await member.ask({ order: 'open', worker, side, place }, 'open')
        }),
      )
      for (const member of members) await checkClock(member)
      return fleet
    } catch (error) {
      await fleet.stop()
      throw error
    }
  }

  /** Runs the traffic from `startMs` on. Rejects when any process fails. */
  async run(startMs: number, onProgress: (progress: FleetProgress) => void): Promise<WorkerLog[]> {
    const latest: FleetProgress[] = this.#members.map(() => ({ reads: 0, writes: 0 }))
    const done = this.#members.map(async (member, at) => {
      member.onProgress = (progress) => {
        latest[at] = progress
        onProgress({
          reads: latest.reduce((sum, { reads }) => sum + reads, 0),
          writes: latest.reduce((sum, { writes }) => sum + writes, 0),
        })
      }
      const { log } = await member.ask({ order: 'run', startMs }, 'done')
      return log
    })
    return Promise.all(done)
  }

  async stop(): Promise<void> {
    await Promise.all(this.#members.map((member) => member.stop()))
  }
}

/** One process and the talk with it: one question at a time, each with one answer. */
class Member {
  onProgress: (progress: FleetProgress) => void = () => {}
  readonly #process: ChildProcess

  constructor() {
    // `advanced`: what is undefined stays so.
    this.#process = fork(WORKER, { serialization: 'advanced' })
  }

  ask<Kind extends Report['report']>(order: Order, kind: Kind): Promise<Extract<Report, { report: Kind }>> {
    return new Promise((resolve, reject) => {
      const settle = (act: () => void) => {
        this.#process.off('message', onMessage)
        this.#process.off('exit', onExit)
        act()
      }
      const onMessage = (message: unknown) => {
        const report = message as Report
        if (report.report === 'progress') return this.onProgress(report)
        if (report.report === 'failed')
          return settle(() => reject(new Error(`a shop process failed: ${report.reason}`)))
        if (report.report === kind) settle(() => resolve(report as Extract<Report, { report: Kind }>))
      }
      const onExit = (code: number | null, signal: string | null) =>
        settle(() => reject(new Error(`a shop process ended early with ${code ?? signal}`)))
      this.#process.on('message', onMessage)
      this.#process.once('exit', onExit)
      this.#process.send(order)
    })
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const ended = once(this.#process, 'exit')
    if (this.#process.connected) this.#process.disconnect()
    await ended
  }
}

/** A time told between question and answer can only be told by the same clock. */
async function checkClock(member: Member): Promise<void> {
  const askedMs = machineMs()
  const { nowMs } = await member.ask({ order: 'tell the time' }, 'time')
  const answeredMs = machineMs()
  if (nowMs >= askedMs && nowMs <= answeredMs) return
  throw new Error(`this machine gives its processes different clocks: ${nowMs} is not in ${askedMs} to ${answeredMs}`)
}
