import { spawnSync } from 'node:child_process'
import { appendFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { signalProcess, startOf } from './process-table.js'

/** Lines of `process <pid> <signal that ends it> <when it started>` and `container <name>`. */
const FILE = 'servers'
const END_LIMIT_MS = 2_000

/** Writes down a process in the run's folder, so that it can be ended there even when this process no longer can. */
export function rememberProcess(folder: string, pid: number, endSignal: NodeJS.Signals): void {
  const started = startOf(pid)
  if (started !== undefined) appendFileSync(join(folder, FILE), `process ${pid} ${endSignal} ${started}\n`)
}

/** The same for a container, which a signal to the Docker client does not always reach. */
export function rememberContainer(folder: string, name: string): void {
  appendFileSync(join(folder, FILE), `container ${name}\n`)
}

/**
 * Ends everything written down in the folder that still runs, and only that: a pid that was given to another process
 * since is left alone. Returns when all is gone or, with a SIGKILL, about to be; works in an exit handler, without waiting
 * for the event loop.
 */
export function endRemembered(folder: string): void {
  const lines = readLines(join(folder, FILE))
  const containers = lines.map((line) => /^container (\S+)$/.exec(line)?.[1]).filter((name) => name !== undefined)
  if (containers.length > 0) spawnSync('docker', ['rm', '--force', ...containers], { stdio: 'ignore' })
  const processes = lines.map(parseProcess).filter((each) => each !== undefined)
  const running = (): RememberedProcess[] => processes.filter(({ pid, started }) => startOf(pid) === started)
  for (const { pid, endSignal } of running()) {
    signalProcess(pid, endSignal)
    // A frozen one acts on nothing until it is let go.
    signalProcess(pid, 'SIGCONT')
  }
  const end = performance.now() + END_LIMIT_MS
  while (running().length > 0 && performance.now() < end) pause(5)
  for (const { pid } of running()) signalProcess(pid, 'SIGKILL')
}

interface RememberedProcess {
  readonly pid: number
  readonly endSignal: NodeJS.Signals
  readonly started: string
}

function parseProcess(line: string): RememberedProcess | undefined {
  const [, pid, endSignal, started] = /^process (\d+) (\S+) (.+)$/.exec(line) ?? []
  if (pid === undefined || started === undefined) return undefined
  return { pid: Number(pid), endSignal: endSignal as NodeJS.Signals, started }
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n')
  } catch {
    return []
  }
}

function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}
