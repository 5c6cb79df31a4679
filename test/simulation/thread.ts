import { parentPort, workerData } from 'node:worker_threads'
import { describeViolation } from '../../src/testing/violation.js'
import { profileOf } from './profiles.js'
import type { Broken, Tally, Task } from './runner.js'
import { simulate } from './world.js'

// Errors are made all the time here, and nobody reads where.
Error.stackTraceLimit = 0

/** What a thread does: seeds, one after the other, until there are no more or it is told to stop. */
const port = parentPort
const { profiles, untilBroken } = workerData as {
  readonly profiles: readonly string[] | undefined
  readonly untilBroken: boolean
}

async function runTask({ from, to }: Task): Promise<Tally> {
  let [seeds, events, reads] = [0, 0, 0]
  const broken: Broken[] = []
  const witnesses: Record<string, number> = {}
  for (let seed = from; seed < to && !(untilBroken && broken.length > 0); seed++) {
    const profile = profileOf(seed)
    if (profiles && !profiles.includes(profile)) continue
    const run = await simulate(seed)
    seeds++
    events += run.events
    reads += run.report.reads
    for (const name of run.witnesses) witnesses[name] = (witnesses[name] ?? 0) + 1
    const what = [...run.violations.map(describeViolation), ...run.faults]
    if (what.length > 0) {
      const checks = [...new Set(run.violations.map(({ check }) => check))]
      broken.push({ seed, profile, checks, what: what.slice(0, 3) })
    }
  }
  return { seeds, events, reads, broken, witnesses }
}

port?.on('message', (task: Task) => {
  void runTask(task).then((tally) => port.postMessage(tally))
})
