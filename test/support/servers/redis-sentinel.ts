import { chmodSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findRedis } from './find-redis.js'
import { freePort } from './free-port.js'
import { redisCommand } from './redis-command.js'
import { ServerProcess } from './server-process.js'
import { ALL_ORIGINS } from './toolset.js'
import { waitUntil } from './wait.js'
import { makeWorkFolder } from './workspace.js'

/** What a sentinel watches under a name. */
export interface WatchedGroup {
  readonly name: string
  /** Of the primary, on this machine. */
  readonly port: number
  readonly quorum: number
  /** Of the failover it has seen last, as its own file would say after a restart. Default: it has seen none. */
  readonly configEpoch?: number
}

export interface RedisSentinel {
  readonly host: string
  readonly port: number
  stop(): Promise<void>
}

const START_LIMIT_MS = 10_000

/** Starts a private Redis Sentinel; returns when it answers. */
export async function startRedisSentinel(groups: readonly WatchedGroup[]): Promise<RedisSentinel> {
  const toolset = await findRedis(ALL_ORIGINS)
  const folder = makeWorkFolder('sentinel')
  const port = await freePort()
  // It writes down what it sees, in the same file.
  const file = join(folder, 'sentinel.conf')
  const lines = groups.flatMap(({ name, port: primary, quorum, configEpoch }) => [
    `sentinel monitor ${name} 127.0.0.1 ${primary} ${quorum}`,
    ...(configEpoch === undefined ? [] : [`sentinel config-epoch ${name} ${configEpoch}`]),
  ])
  writeFileSync(file, [`port ${port}`, 'bind 127.0.0.1', `dir ${folder}`, ...lines, ''].join('\n'))
  chmodSync(file, 0o666)
  const invocation = toolset.invocation(toolset.program, [file, '--sentinel'], folder)
  const server = ServerProcess.launch(invocation, { folder, name: 'sentinel', endSignal: 'SIGTERM' })
  const stop = async () => {
    await server.end()
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    const isReady = async () => (await redisCommand(port, 'INFO', 'server')).includes('redis_mode:sentinel')
    await waitUntil('the sentinel answers', START_LIMIT_MS, isReady, () => server.ending)
  } catch (error) {
    await stop()
    throw error
  }
  return { host: '127.0.0.1', port, stop }
}
