/** Runs one contender of `measureThroughput`. */
import { answerQuestions } from './answer-questions.js'
import type { Contender, Contenders, Slice, ThroughputTalk } from './throughput.js'

/** Operations between two looks at the clock, to start with. */
const FIRST_BATCH = 200
/** A batch should take about this long. */
const BATCH_MS = 5

let contender: Contender
const batches = new Map<string, number>()

const talk: ThroughputTalk = {
  async open(module, name, place) {
    const { contenders } = (await import(module)) as { contenders: Contenders }
    const open = contenders[name]
    if (open === undefined) throw new Error(`${module} has no contender ${name}`)
    contender = await open(place)
  },
  async slice(workload, durationMs): Promise<Slice> {
    const run = contender.workloads[workload]
    if (run === undefined) throw new Error(`no workload ${workload}`)
    await contender.prepare?.()
    const batch = batches.get(workload) ?? FIRST_BATCH
    const cpuBefore = process.cpuUsage()
    const startedMs = performance.now()
    let times = 0
    let elapsedMs = 0
    do {
      await run(batch)
      times += batch
      elapsedMs = performance.now() - startedMs
    } while (elapsedMs < durationMs)
    const { user, system } = process.cpuUsage(cpuBefore)
    batches.set(workload, Math.max(FIRST_BATCH, Math.round((times / elapsedMs) * BATCH_MS)))
    return { times, elapsedMs, cpuMs: (user + system) / 1_000 }
  },
  close: () => contender.close(),
}

answerQuestions(talk)
