import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isReachableByAll } from './account.js'
import { startOf } from './process-table.js'
import { makeWorkFolder } from './workspace.js'

/** Git-ignored; removing it costs one download. */
const CACHE = fileURLToPath(new URL('../../../.cache', import.meta.url))

/**
 * Returns the cached folder `name`, having it filled first if it is not there. The folder appears whole or not at all:
 * `fill` works in a folder beside it that is then renamed, so runs that download at the same time cannot disturb each
 * other. Rejects when `fill` does, leaving nothing.
 */
export async function cachedDownload(name: string, fill: (folder: string) => Promise<void>): Promise<string> {
  const wanted = join(CACHE, name)
  if (existsSync(wanted)) return wanted
  mkdirSync(CACHE, { recursive: true })
  sweepPartials()
  const partial = mkdtempSync(join(CACHE, `partial-${process.pid}-`))
  try {
    await fill(partial)
    chmodSync(partial, 0o755)
    renameSync(partial, wanted)
  } catch (error) {
    // ENOTEMPTY: another run was quicker, and what it made is as good as ours.
    if (!existsSync(wanted)) throw error
  } finally {
    rmSync(partial, { recursive: true, force: true })
  }
  return wanted
}

const copies = new Map<string, string>()

/**
 * Returns a folder with the same content that root's servers, which do not run as root, can read: the folder itself
 * where everybody may get there, else (a checkout below /root) a copy that belongs to this process and goes with it.
 */
export function readableByServers(folder: string): string {
  if (process.getuid?.() !== 0 || isReachableByAll(folder)) return folder
  const copied = copies.get(folder) ?? copyForAll(folder)
  copies.set(folder, copied)
  return copied
}

function copyForAll(folder: string): string {
  const copy = join(makeWorkFolder('programs'), 'copy')
  cpSync(folder, copy, { recursive: true, verbatimSymlinks: true })
  openToAll(copy)
  return copy
}

function openToAll(path: string): void {
  const found = lstatSync(path)
  if (found.isSymbolicLink()) return
  const readable = found.mode | 0o444
  chmodSync(path, found.isDirectory() || (found.mode & 0o100) !== 0 ? readable | 0o111 : readable)
  if (found.isDirectory()) for (const name of readdirSync(path)) openToAll(join(path, name))
}

function sweepPartials(): void {
  for (const name of readdirSync(CACHE)) {
    const owner = /^partial-(\d+)-/.exec(name)?.[1]
    if (owner !== undefined && startOf(Number(owner)) === undefined) {
      rmSync(join(dirname(join(CACHE, name)), name), { recursive: true, force: true })
    }
  }
}
