import { setTimeout as sleep } from 'node:timers/promises'
import { machineMs } from '../../../src/core/clock.js'
import type { Nemesis } from './nemesis.js'
import type { Stage } from './stage.js'

/** One fault, as it was. */
export interface Strike {
  readonly nemesis: Nemesis
  readonly startedMs: number
  readonly endedMs: number
  /** What kept it from being struck as it should have been, or from being healed in time. */
  readonly failure?: string
}

/** Between two faults of one lane. */
const PAUSE_MS = [800, 2_500] as const
/** Given to what follows a failover, so that its window is its own. */
const CALM_MS = 3_000

/** Breaks one thing after the other, servers and processes at the same time, each kind as often as any other, until `untilMs`. */
export async function campaign(
  stage: Stage,
  nemeses: readonly Nemesis[],
  untilMs: number,
  note: (line: string) => void,
): Promise<Strike[]> {
  const strikes: Strike[] = []
  let processesAtWork: Promise<void> = Promise.resolve()
  let alone: Promise<void> = Promise.resolve()

  async function strike(nemesis: Nemesis): Promise<void> {
    const startedMs = machineMs()
    const failure = await nemesis.strike(stage).then(
      () => undefined,
      (error: Error) => error.message,
    )
    strikes.push({ nemesis, startedMs, endedMs: machineMs(), ...(failure === undefined ? {} : { failure }) })
    note(
      `${nemesis.name}, ${((machineMs() - startedMs) / 1_000).toFixed(1)} s${failure === undefined ? '' : `: ${failure}`}`,
    )
  }

  async function servers(): Promise<void> {
    for (const nemesis of drawn(stage, nemeses, 'servers')) {
      if (machineMs() >= untilMs) return
      if (nemesis.isAlone) {
        alone = processesAtWork.then(() => strike(nemesis)).then(() => sleep(CALM_MS))
        await alone
      } else {
        await strike(nemesis)
      }
      await sleep(stage.between(...PAUSE_MS))
    }
  }

  async function processes(): Promise<void> {
    for (const nemesis of drawn(stage, nemeses, 'processes')) {
      await alone
      if (machineMs() >= untilMs) return
      processesAtWork = strike(nemesis)
      await processesAtWork
      await sleep(stage.between(...PAUSE_MS))
    }
  }

  await Promise.all([servers(), processes()])
  await sleep(Math.max(0, untilMs - machineMs()))
  return strikes
}

/** One round after the other, each in an order of its own; nothing where there is nothing to draw. */
function* drawn(stage: Stage, nemeses: readonly Nemesis[], lane: Nemesis['lane']): Generator<Nemesis> {
  const own = nemeses.filter((nemesis) => nemesis.lane === lane)
  while (own.length > 0) {
    const round = [...own]
    while (round.length > 0) {
      const nemesis = stage.pick(round)
      round.splice(round.indexOf(nemesis), 1)
      yield nemesis
    }
  }
}
