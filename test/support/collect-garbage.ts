import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Collects what nobody can reach any more. What a weak reference was followed to in this task counts as reached until the task ends. */
export async function collectGarbage(): Promise<void> {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  await new Promise(setImmediate)
  collect()
}

/** What is kept of `made` each time, in bytes: the least of four tries, since what else the process does meanwhile only adds to it. */
export async function bytesEach(made: () => unknown): Promise<number> {
  const tries: number[] = []
  for (let attempt = 0; attempt < 4; attempt++) {
    const kept = new Array<unknown>(TIMES).fill(undefined)
    await collectGarbage()
    const before = process.memoryUsage().heapUsed
    for (let at = 0; at < TIMES; at++) kept[at] = made()
    await collectGarbage()
    tries.push((process.memoryUsage().heapUsed - before) / kept.length)
  }
  return Math.min(...tries)
}

const TIMES = 10_000
