import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { RedisServer } from '../../../../test/support/servers/redis.js'
import { redisCommand } from '../../../../test/support/servers/redis-command.js'
import type { RedisPairServers } from '../cache-servers.js'
import type { Nemesis } from '../nemesis.js'
import type { Stage } from '../stage.js'

/** What Redis itself can do to those who use it. */
export const redisNemeses: readonly Nemesis[] = [
  {
    name: 'pause-writes',
    does: 'CLIENT PAUSE 0.5 to 2 s WRITE: fences hang, reads go on',
    lane: 'servers',
    async strike(stage) {
      const pauseMs = Math.round(stage.between(500, 2_000))
      await each(stage, ({ port }) => redisCommand(port, 'CLIENT', 'PAUSE', pauseMs, 'WRITE'))
      await sleep(pauseMs)
    },
  },
  {
    name: 'evictions',
    does: 'keys vanish at random for 2 s, entries and guards each on their own: thousands of them',
    lane: 'servers',
    async strike(stage) {
      await Promise.all(stage.cache.masters.map((server) => evict(server, performance.now() + 2_000)))
    },
  },
  {
    name: 'out-of-memory',
    does: 'maxmemory below what is used, nothing may be evicted: writes are refused with OOM for 1 to 2 s, reads go on',
    lane: 'servers',
    async strike(stage) {
      await each(stage, ({ port }) => redisCommand(port, 'CONFIG', 'SET', 'maxmemory-policy', 'noeviction'))
      await each(stage, ({ port }) => redisCommand(port, 'CONFIG', 'SET', 'maxmemory', '100kb'))
      await sleep(stage.between(1_000, 2_000))
      await each(stage, ({ port }) => redisCommand(port, 'CONFIG', 'SET', 'maxmemory', '0'))
    },
  },
  {
    name: 'flush-all',
    does: 'FLUSHALL',
    lane: 'servers',
    strike: (stage) => each(stage, ({ port }) => redisCommand(port, 'FLUSHALL')),
  },
  {
    name: 'busy',
    does: 'DEBUG SLEEP 1.5: Redis answers nobody, and then everybody',
    lane: 'servers',
    async strike(stage) {
      const server = stage.pick(stage.cache.masters)
      await redisCommand(server.port, 'DEBUG', 'SLEEP', '1.5')
    },
  },
  {
    name: 'frozen',
    does: 'SIGSTOP to Redis for 1 to 4 s',
    lane: 'servers',
    where: 'pair',
    async strike(stage) {
      const [server] = stage.cache.masters as [RedisServer]
      await server.freeze()
      await sleep(stage.between(1_000, 4_000))
      await server.thaw()
    },
  },
  {
    name: 'restarted-empty',
    does: 'SIGKILL to Redis, and 0.3 s later another one without data in its place',
    lane: 'servers',
    where: 'pair',
    strike: (stage) => (stage.cache as RedisPairServers).replaceEmpty(300),
  },
  {
    name: 'subscribers-killed',
    does: 'CLIENT KILL TYPE pubsub, ten times in 1 s',
    lane: 'servers',
    async strike(stage) {
      for (let times = 0; times < 10; times++) {
        await each(stage, ({ port }) => redisCommand(port, 'CLIENT', 'KILL', 'TYPE', 'pubsub'))
        await sleep(100)
      }
    },
  },
  {
    name: 'subscribers-overflow',
    does: 'an output buffer of 1 KB for subscribers, and messages that are larger: Redis closes them for 1 s',
    lane: 'servers',
    async strike(stage) {
      const limit = (text: string) =>
        each(stage, ({ port }) => redisCommand(port, 'CONFIG', 'SET', 'client-output-buffer-limit', text))
      await limit('pubsub 1kb 1kb 1')
      for (let times = 0; times < 5; times++) {
        await each(stage, ({ port }) => redisCommand(port, 'PUBLISH', 'faults:bus', 'x'.repeat(200_000)))
        await sleep(200)
      }
      await limit('pubsub 32mb 8mb 60')
    },
  },
]

/** Not of those that are down or follow another. */
async function each({ cache }: Stage, act: (server: RedisServer) => Promise<unknown>): Promise<void> {
  await Promise.all(cache.masters.map((server) => act(server).catch(() => {})))
}

async function evict({ port }: RedisServer, untilMs: number): Promise<void> {
  const redis = new Redis(port, '127.0.0.1', { maxRetriesPerRequest: 0, retryStrategy: () => null })
  redis.on('error', () => {})
  try {
    while (performance.now() < untilMs) {
      const keys = await Promise.all(Array.from({ length: 20 }, () => redis.randomkey()))
      await Promise.all(keys.map((key) => key !== null && redis.unlink(key)))
      await sleep(10)
    }
  } catch {
    // A replica of a cluster refuses; what it holds vanishes with its master's.
  } finally {
    redis.disconnect()
  }
}
