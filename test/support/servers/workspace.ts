import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isReachableByAll, serverAccount } from './account.js'
import { startOf } from './process-table.js'
import { endRemembered } from './remembered.js'

/** `corral-test-<pid of the owner>-<random>`: the name tells whose it is, so leftovers of a dead owner can be swept. */
const FOLDER = /^corral-test-(\d+)-/
/** Holds when the owner started: a pid alone may belong to somebody else by now. */
const OWNER_FILE = 'owner'

let root: string | undefined
let serial = 0

/**
 * Makes an empty folder that the servers' account owns, inside this process's own temp folder. Everything in there is
 * removed, and its servers ended, when this process ends; when it was killed outright, by the next process to make one.
 */
export function makeWorkFolder(name: string): string {
  const folder = join(rootFolder(), `${name}-${++serial}`)
  mkdirSync(folder, { mode: 0o755 })
  const account = serverAccount()
  if (account !== undefined) chownSync(folder, account.uid, account.gid)
  return folder
}

/** This process's own temp folder, made and set up to be removed when it is first asked for. */
export function rootFolder(): string {
  if (root !== undefined) return root
  const base = tempBase()
  sweep(base)
  const made = mkdtempSync(join(base, `corral-test-${process.pid}-`))
  // Others may pass through but not look around: the servers' account has to get to its folders below.
  chmodSync(made, 0o711)
  writeFileSync(join(made, OWNER_FILE), startOf(process.pid) ?? '')
  root = made
  process.once('exit', () => remove(made))
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

/** Removes what runs of ours that were killed outright have left. Never touches the folder of a living run. */
function sweep(base: string): void {
  for (const name of readdirSync(base)) {
    const owner = FOLDER.exec(name)?.[1]
    if (owner === undefined) continue
    const folder = join(base, name)
    try {
      if (statSync(folder).uid === process.getuid?.() && !isOwnedByLiving(folder, Number(owner))) remove(folder)
    } catch {
      // Another run may be sweeping the same folder this moment; whatever is left is for the next one.
    }
  }
}

function isOwnedByLiving(folder: string, owner: number): boolean {
  const started = startOf(owner)
  if (started === undefined) return false
  let recorded = ''
  try {
    recorded = readFileSync(join(folder, OWNER_FILE), 'utf8')
  } catch {
    // Its owner is only just making it.
  }
  return recorded === '' || recorded === started
}

/** Servers first: one that still writes would make its folder impossible to remove. */
function remove(folder: string): void {
  endRemembered(folder)
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
}
