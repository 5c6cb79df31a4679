import { realpathSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { findProgram } from './command.js'
import { unpackDebianRedis } from './debian-redis.js'
import { dockerToolset } from './docker.js'
import { type Finding, firstToolset, localToolset, type Origin, runTool, type Toolset } from './toolset.js'
import { makeWorkFolder } from './workspace.js'

/** Older versions have no sharded channels, nor CLUSTER ADDSLOTSRANGE. */
const OLDEST_VERSION = 7
const IMAGE = 'redis:7'

const REMEDIES = [
  'use a server of yours:   export REDIS_URL=redis://host:6379',
  'Debian, Ubuntu:          sudo apt-get install -y redis-server',
  'macOS:                   brew install redis',
  `Docker:                  start the Docker engine (${IMAGE} is then run on its own)`,
]

/** A Redis installation; Valkey's server has another name and the same manners. */
export interface RedisToolset extends Toolset {
  readonly program: string
}

/** Finds the programs of a Redis. Rejects, naming every place tried and the commands that help, when there is none. */
export async function findRedis(origins: readonly Origin[]): Promise<RedisToolset> {
  const places: Partial<Record<Origin, () => Promise<Finding>>> = {
    machine: onMachine,
    download: fromDebian,
    docker: () => dockerToolset(IMAGE, ['redis-server']),
  }
  const wanted = origins.map((origin) => places[origin]).filter((place) => place !== undefined)
  const toolset = await firstToolset('Redis', wanted, REMEDIES)
  return { ...toolset, program: toolset.has('redis-server') ? 'redis-server' : 'valkey-server' }
}

async function onMachine(): Promise<Finding> {
  const server = findProgram('redis-server') ?? findProgram('valkey-server')
  if (server === undefined) return { reason: 'no program `redis-server` or `valkey-server` in PATH' }
  const real = realpathSync(server)
  // Debian links redis-server to redis-check-rdb: one program that goes by the name it is called with.
  const folder = dirname(basename(real).endsWith('-server') ? real : server)
  return usable(localToolset('machine', folder, server), basename(server))
}

async function fromDebian(): Promise<Finding> {
  try {
    const { folder, libraries } = await unpackDebianRedis()
    return usable(
      localToolset('download', folder, 'Debian package redis-server', { LD_LIBRARY_PATH: libraries }),
      'redis-server',
    )
  } catch (error) {
    return { reason: `Debian package redis-server: ${(error as Error).message}` }
  }
}

async function usable(toolset: Toolset, program: string): Promise<Finding> {
  try {
    const printed = await runTool(toolset, program, ['--version'], makeWorkFolder('version'))
    const version = /v=(\d+[.\d]*)/.exec(printed)?.[1] ?? '0'
    if (Number.parseInt(version, 10) >= OLDEST_VERSION) return toolset
    return { reason: `${toolset.description} is version ${version}; ${OLDEST_VERSION} or newer is needed` }
  } catch (error) {
    return { reason: `${toolset.description}: ${(error as Error).message}` }
  }
}
