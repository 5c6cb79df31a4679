import { Redis } from 'ioredis'
import { expect, it, onTestFinished } from 'vitest'
import type { RedisConnection } from '../../../src/adapters/redis/connection.js'
import { sampleReads } from '../../../src/cli/hot-key-sample.js'
import { systemClock } from '../../../src/core/clock.js'
import { redisUrl } from '../../support/services.js'
import { TcpProxy } from '../../support/tcp-proxy.js'

const OK = '+OK\r\n'

it('hears what a busy server tells in one piece with its OK', async () => {
  const { hostname: host, port } = new URL(redisUrl())
  const proxy = await TcpProxy.start({ host, port: Number(port) })
  const heard = '+1796027373.394483 [0 127.0.0.1:48970] "get" "shop:{public.products/8}"\r\n'
  // Without a name, a database and a check whether it is ready, MONITOR is the only command that is answered by OK.
  proxy.set({ rewrite: (answer) => answer.replace(OK, OK + heard + heard) })
  const url = new URL(proxy.through(redisUrl()))
  const options = { host: url.hostname, port: Number(url.port), enableReadyCheck: false, disableClientInfo: true }
  const redis = new Redis({ ...options, lazyConnect: true })
  onTestFinished(async () => {
    redis.disconnect()
    await proxy.close()
  })
  await redis.connect()
  const sample = await sampleReads({
    nodes: [{ address: 'one', connection: redis as unknown as RedisConnection }] as never,
    ...{ clock: systemClock, prefix: 'shop:{', listenMs: 10_000, maxReads: 2, signal: new AbortController().signal },
  })
  expect(sample).toMatchObject({ reads: 2, keys: [{ key: 'shop:{public.products/8}', node: 'one', reads: 2 }] })
})
