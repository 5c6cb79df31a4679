import { appendFileSync, chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isReachableByAll, serverAccount } from './account.js'
import { signalProcess, startOf } from './process-table.js'

/** `corral-test-<pid of the owner>-<random>`: the name tells whose it is, so leftovers of a dead owner can be swept. */
const FOLDER = /^corral-test-(\d+)-/
/** Holds when the owner started: a pid alone may belong to somebody else by now. */
const OWNER_FILE = 'owner'
/** One line for each server process started or frozen: pid and when it started. */
const PROCESSES_FILE = 'processes'

let root: string | undefined
let serial = 0
const endings = new Set<() => void>()

/**
 * Makes an empty folder that the servers' account owns, inside this process's own temp folder. Everything in there is
 * removed when this process ends; when it was killed outright, by the next process that makes such a folder.
 */
export function makeWorkFolder(name: string): string {
  const folder = join(openRoot(), `${name}-${++serial}`)
  mkdirSync(folder, { mode: 0o755 })
  const account = serverAccount()
  if (account !== undefined) chownSync(folder, account.uid, account.gid)
  return folder
}

/** Remembers a server process, so that a later sweep can end it should it outlive this process. */
export function rememberProcess(pid: number): void {
  const started = startOf(pid)
  if (started !== undefined) appendFileSync(join(openRoot(), PROCESSES_FILE), `${pid} ${started}\n`)
}

/** Runs `end` when this process ends without having called the returned function first. Must not wait for anything. */
export function atProcessEnd(end: () => void): () => void {
  endings.add(end)
  return () => endings.delete(end)
}

function openRoot(): string {
  if (root !== undefined) return root
  const base = tempBase()
  sweep(base)
  const made = mkdtempSync(join(base, `corral-test-${process.pid}-`))
  // Others may pass through but not look around: the servers' account has to get to its folders below.
  chmodSync(made, 0o711)
  writeFileSync(join(made, OWNER_FILE), startOf(process.pid) ?? '')
  root = made
  process.once('exit', () => {
    for (const end of endings) end()
    rmSync(made, { recursive: true, force: true })
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      // A test runner that listens as well decides itself when to stop; 'exit' comes either way.
      if (process.listenerCount(signal) === 1) process.exit(130)
    })
  }
  return made
}

/** The temp folder, unless root's servers, which do not run as root, could not get there (TMPDIR=/root/tmp). */
function tempBase(): string {
  const usual = tmpdir()
  return process.getuid?.() !== 0 || isReachableByAll(usual) ? usual : '/tmp'
}

/** Removes what runs of ours that were killed outright have left, servers first. Never touches a living run's folder. */
function sweep(base: string): void {
  for (const name of readdirSync(base)) {
    const owner = FOLDER.exec(name)?.[1]
    if (owner === undefined) continue
    const folder = join(base, name)
    try {
      if (statSync(folder).uid !== process.getuid?.() || isOwnedByLiving(folder, Number(owner))) continue
      endRemembered(folder)
      rmSync(folder, { recursive: true, force: true })
    } catch {
      // Another run may be sweeping the same folder this moment; whatever is left is for the next one.
    }
  }
}

function isOwnedByLiving(folder: string, owner: number): boolean {
  const started = startOf(owner)
  if (started === undefined) return false
  const recorded = readOrEmpty(join(folder, OWNER_FILE))
  return recorded === '' || recorded === started
}

function endRemembered(folder: string): void {
  for (const line of readOrEmpty(join(folder, PROCESSES_FILE)).split('\n')) {
    const [pid, started] = splitOnce(line)
    if (pid !== 0 && startOf(pid) === started) signalProcess(pid, 'SIGKILL')
  }
}

function splitOnce(line: string): [number, string] {
  const space = line.indexOf(' ')
  return [Number(line.slice(0, Math.max(space, 0))), line.slice(space + 1)]
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
