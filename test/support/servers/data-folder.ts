import { join } from 'node:path'
import { runCommand } from './command.js'
import { runTool, type Toolset } from './toolset.js'
import { makeWorkFolder } from './workspace.js'

const INITDB = ['--pgdata=data', '--username=postgres', '--auth=trust', '--encoding=UTF8', '--locale=C']

/** Folders that hold a data folder no server has run on, each made once by this process. */
const pristine = new Map<string, Promise<string>>()

/**
 * Makes the data folder of a new server in `folder`, as `data`. A copy where this process has made one before: initdb takes a
 * processor ten times as long. Servers on copies say that they are the same system; `isOwnSystem` is for one that must not.
 */
export async function makeDataFolder(toolset: Toolset, folder: string, isOwnSystem: boolean): Promise<void> {
  if (isOwnSystem) return initialize(toolset, folder)
  const key = `${toolset.origin} ${toolset.description}`
  let made = pristine.get(key)
  if (made === undefined) {
    made = makePristine(toolset)
    pristine.set(key, made)
    // Whoever asks next is told the reason that holds then.
    made.catch(() => pristine.delete(key))
  }
  // Owners and modes too: a server wants its folder to be its own, and closed to others.
  await runCommand('cp', ['-Rp', join(await made, 'data'), folder])
}

async function makePristine(toolset: Toolset): Promise<string> {
  const folder = makeWorkFolder('pristine')
  await initialize(toolset, folder)
  return folder
}

async function initialize(toolset: Toolset, folder: string): Promise<void> {
  await runTool(toolset, 'initdb', [...INITDB, '--no-sync', '--no-instructions'], folder)
}
