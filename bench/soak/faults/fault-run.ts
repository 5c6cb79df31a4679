import { machineMs } from '../../../src/core/clock.js'
import type { Ablation } from './ablation.js'
import { campaign, type Strike } from './campaign.js'
import { NEMESES, type Nemesis } from './nemesis.js'
import { Stage } from './stage.js'
import { type Timeline, timelineOf } from './timeline.js'
import { judge, type Verdict } from './verdict.js'

export interface FaultRunOptions {
  readonly kind: 'corral' | 'by-hand'
  readonly minutes: number
  readonly nemeses: readonly Nemesis[]
  readonly cluster: boolean
  readonly without: readonly Ablation[]
  readonly seed: number
  note(line: string): void
}

export interface FaultRun {
  readonly verdict: Verdict
  readonly timeline: Timeline
  readonly strikes: readonly Strike[]
}

/** Those of `names`, or all that there are for such servers. @throws Error for a name that is none of theirs. */
export function chosenNemeses(names: readonly string[], cluster: boolean): readonly Nemesis[] {
  const where = cluster ? 'cluster' : 'pair'
  const fitting = NEMESES.filter((nemesis) => (nemesis.where ?? where) === where)
  if (names.length === 1 && names[0] === 'all') return fitting
  return names.map((name) => {
    const found = fitting.find((nemesis) => nemesis.name === name)
    if (found === undefined)
      throw new Error(`no fault is called ${name} here; there are ${fitting.map((each) => each.name).join(', ')}`)
    return found
  })
}

/** Traffic of some minutes through faults, and what a checker makes of all that was noted meanwhile. */
export async function runFaults(options: FaultRunOptions): Promise<FaultRun> {
  const { nemeses, minutes, note } = options
  const stage = await Stage.open(options)
  try {
    note(`${options.kind}, seed ${options.seed}, ${minutes} min`)
    await stage.pace(1)
    const strikes = await campaign(stage, nemeses, machineMs() + minutes * 60_000, note)
    await stage.pace(1)
    note('settling')
    await stage.settle()
    const verdict = judge(stage.ledger, stage.windows, strikes)
    return { verdict, strikes, timeline: timelineOf(stage.ledger, strikes) }
  } finally {
    await stage.close()
  }
}
