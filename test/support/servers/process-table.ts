import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

const hasProc = process.platform === 'linux'

/** What the kernel says of one process. */
interface ProcessRow {
  readonly pid: number
  readonly parent: number
  readonly state: string
  /** When it started; together with the pid this names one process for ever, although pids are used again. */
  readonly started: string
}

/** When the process started, as an opaque text; undefined when it is gone. A zombie counts as gone. */
export function startOf(pid: number): string | undefined {
  const row = rowOf(pid)
  return row === undefined || row.state.startsWith('Z') ? undefined : row.started
}

/** The live children of a process. */
export function childrenOf(pid: number): number[] {
  return allRows()
    .filter((row) => row.parent === pid && !row.state.startsWith('Z'))
    .map((row) => row.pid)
}

/** Sends a signal; a process that is already gone, or is not ours, is no error. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code !== 'ESRCH' && code !== 'EPERM') throw error
  }
}

function allRows(): ProcessRow[] {
  if (!hasProc) return psRows(['-A'])
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => rowOf(Number(name)))
    .filter((row) => row !== undefined)
}

function rowOf(pid: number): ProcessRow | undefined {
  if (!hasProc) return psRows(['-p', String(pid)])[0]
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return undefined
  }
  // proc(5): "pid (name) state ppid ... starttime" where the name may itself hold spaces and brackets; starttime is field 22
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return { pid, state: fields[0] ?? '', parent: Number(fields[1]), started: fields[19] ?? '' }
}

/** Machines without /proc (macOS) have ps(1); Debian's smallest images have /proc and no ps. */
function psRows(selection: readonly string[]): ProcessRow[] {
  let printed: string
  try {
    printed = execFileSync('ps', [...selection, '-o', 'pid=,ppid=,state=,lstart='], { encoding: 'utf8' })
  } catch {
    return []
  }
  return printed
    .split('\n')
    .map((line) => /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.+?)\s*$/.exec(line))
    .filter((match) => match !== null)
    .map(([, pid, parent, state, started]) => ({
      pid: Number(pid),
      parent: Number(parent),
      state: state ?? '',
      started: started ?? '',
    }))
}
