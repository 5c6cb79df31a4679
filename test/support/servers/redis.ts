import type { ChildProcess } from 'node:child_process'
import { refuseForEnvironment, urlFromEnvironment } from './environment.js'
import { findRedis } from './find-redis.js'
import { freePort } from './free-port.js'
import { LocalRedis } from './local-redis.js'
import { redisCommand } from './redis-command.js'
import { ALL_ORIGINS, type Origin } from './toolset.js'
import { waitUntil } from './wait.js'

export interface RedisOptions {
  /** Server settings, such as `{ maxmemory: '64mb' }`; they win over those the tests run with. */
  readonly settings?: Readonly<Record<string, string>>
  /** A private server even when REDIS_URL names one: for tests that freeze, kill or restart it. */
  readonly own?: boolean
  /** Look in these places only. */
  readonly origins?: readonly Origin[]
}

/** A running Redis. One that REDIS_URL names can be used, but not be harmed. */
export interface RedisServer {
  readonly url: string
  readonly host: string
  readonly port: number
  /** Undefined for a server from REDIS_URL. */
  readonly pid: number | undefined
  readonly proc: ChildProcess | undefined
  readonly origin: Origin
  /** Stops the server where it stands; sockets stay open and nothing answers. */
  freeze(): Promise<void>
  thaw(): Promise<void>
  /** SIGKILL: everything it held is lost. */
  kill(): Promise<void>
  /** Back on the same port, empty: nothing is kept on disk unless `settings` say so. */
  restart(): Promise<void>
  /** Ends the server; leaves one from REDIS_URL alone. */
  stop(): Promise<void>
}

/** A primary and the replica that follows it. */
export interface RedisPair {
  readonly primary: RedisServer
  readonly replica: RedisServer
  stop(): Promise<void>
}

/**
 * Starts a private Redis, or uses the one that REDIS_URL names.
 * Rejects, with the commands that help, when there is none to be had.
 */
export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const origins = options.origins ?? ALL_ORIGINS
  if (options.own !== true && origins.includes('environment')) {
    const url = await urlFromEnvironment('REDIS_URL', 6379)
    if (url !== undefined) return new EnvironmentRedis(url)
  }
  return LocalRedis.start({ toolset: await findRedis(origins), settings: options.settings ?? {}, drawPort: freePort })
}

/** Starts a private Redis and a replica of it; returns when the replica has the primary's data and follows it. */
export async function startRedisWithReplica(options: Omit<RedisOptions, 'own'> = {}): Promise<RedisPair> {
  const primary = await startRedis({ ...options, own: true })
  try {
    const replicaof = `127.0.0.1 ${primary.port}`
    const replica = await startRedis({ ...options, own: true, settings: { ...options.settings, replicaof } })
    await waitUntil('replica follows its primary', 10_000, async () => {
      const isUp = (await redisCommand(replica.port, 'INFO', 'replication')).includes('master_link_status:up')
      // The primary counts it in a moment later, when it has heard from it.
      return isUp && /slave0:.*state=online.*lag=[01]\b/.test(await redisCommand(primary.port, 'INFO', 'replication'))
    })
    return { primary, replica, stop: async () => void (await Promise.all([replica.stop(), primary.stop()])) }
  } catch (error) {
    await primary.stop()
    throw error
  }
}

/** The server that REDIS_URL names: ours to use, not to break. */
class EnvironmentRedis implements RedisServer {
  readonly url: string
  readonly host: string
  readonly port: number
  readonly pid = undefined
  readonly proc = undefined
  readonly origin = 'environment'

  constructor(url: URL) {
    this.url = url.href
    this.host = url.hostname
    this.port = Number(url.port) || 6379
  }

  freeze = () => refuse('freeze')
  thaw = () => refuse('thaw')
  kill = () => refuse('kill')
  restart = () => refuse('restart')

  async stop(): Promise<void> {}
}

async function refuse(what: string): Promise<never> {
  throw refuseForEnvironment(what, 'REDIS_URL', 'startRedis')
}
