import { Worker } from 'node:worker_threads'

/** Seeds from `from` up to, and without, `to`. */
export interface Task {
  readonly from: number
  readonly to: number
}

export interface Broken {
  readonly seed: number
  readonly profile: string
  readonly checks: readonly string[]
  readonly what: readonly string[]
}

export interface Tally {
  readonly seeds: number
  readonly events: number
  readonly reads: number
  readonly broken: readonly Broken[]
  /** In how many seeds each witness was seen. */
  readonly witnesses: Readonly<Record<string, number>>
}

export interface RunOptions extends Task {
  /** See `bundleSimulation`. */
  readonly bundle: string
  readonly threads: number
  /** Only seeds of these. */
  readonly profiles?: readonly string[] | undefined
  /** Ends as soon as one seed is broken. */
  readonly untilBroken?: boolean
  readonly onProgress?: (tally: Tally) => void
}

/** Seeds that a thread takes at a time: some of each profile. */
const CHUNK = 36

export const NOTHING: Tally = { seeds: 0, events: 0, reads: 0, broken: [], witnesses: {} }

/** Runs seeds on some threads. */
export async function runSeeds(options: RunOptions): Promise<Tally> {
  const { from, to, threads, profiles, untilBroken = false, onProgress } = options
  let next = from
  let tally = NOTHING
  const take = (): Task | undefined => {
    const isOver = next >= to || (untilBroken && tally.broken.length > 0)
    if (isOver) return undefined
    const task = { from: next, to: Math.min(to, next + CHUNK) }
    next = task.to
    return task
  }
  const work = async () => {
    const worker = new Worker(options.bundle, {
      workerData: { profiles, untilBroken },
      // A seed leaves little behind and allocates much: with room for many of them, most is gone when it is looked through.
      resourceLimits: { maxYoungGenerationSizeMb: 64 },
    })
    try {
      for (let task = take(); task !== undefined; task = take()) {
        const done = await ask(worker, task)
        tally = together(tally, done)
        onProgress?.(tally)
      }
    } finally {
      await worker.terminate()
    }
  }
  await Promise.all(Array.from({ length: threads }, work))
  return tally
}

function ask(worker: Worker, task: Task): Promise<Tally> {
  return new Promise((resolve, reject) => {
    const end = () => {
      worker.off('message', onMessage)
      worker.off('error', onError)
      worker.off('exit', onExit)
    }
    const onMessage = (tally: Tally) => {
      end()
      resolve(tally)
    }
    const onError = (error: unknown) => {
      end()
      reject(error)
    }
    // Without this nobody would ever answer, and the process would end as if it had nothing left to do.
    const onExit = (code: number) => onError(new Error(`a thread ended with ${code} before it had run its seeds`))
    worker.on('message', onMessage)
    worker.on('error', onError)
    worker.on('exit', onExit)
    worker.postMessage(task)
  })
}

export function together(a: Tally, b: Tally): Tally {
  const names = new Set([...Object.keys(a.witnesses), ...Object.keys(b.witnesses)])
  return {
    seeds: a.seeds + b.seeds,
    events: a.events + b.events,
    reads: a.reads + b.reads,
    broken: [...a.broken, ...b.broken].sort((x, y) => x.seed - y.seed),
    witnesses: Object.fromEntries(
      [...names].map((name) => [name, (a.witnesses[name] ?? 0) + (b.witnesses[name] ?? 0)]),
    ),
  }
}
