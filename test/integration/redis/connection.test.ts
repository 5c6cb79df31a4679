import { inspect } from 'node:util'
import { Redis } from 'ioredis'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { RedisStore } from '../../../src/adapters/redis/redis-store.js'
import { systemClock } from '../../../src/core/clock.js'
import { waitUntil } from '../../support/servers/wait.js'
import { freshNamespace, redisUrl } from '../../support/services.js'
import { TcpProxy } from '../../support/tcp-proxy.js'

const warnings: string[] = []
const note = (warning: Error) => warnings.push(`${warning.name}: ${warning.message}`)

describe("RedisStore's connection", () => {
  process.on('warning', note)
  afterAll(() => void process.off('warning', note))

  async function open(faults: Parameters<TcpProxy['set']>[0]) {
    const target = new URL(redisUrl())
    const proxy = await TcpProxy.start({ host: target.hostname, port: Number(target.port) })
    proxy.set(faults)
    const client = new Redis(proxy.through(redisUrl()), { lazyConnect: true })
    const store = new RedisStore({ client, namespace: freshNamespace(), clock: systemClock })
    onTestFinished(async () => {
      await store.close()
      client.disconnect()
      await proxy.close()
    })
    return { proxy, store }
  }

  it('may be waited for by any number of calls', async () => {
    const { proxy, store } = await open({ blackHole: 'both' })
    const calls = Array.from({ length: 100 }, () => store.read(['a' as never]).catch((error) => error.code))
    await new Promise((resolve) => setTimeout(resolve, 50))
    proxy.heal()
    proxy.reset()
    const answers = await Promise.all(calls)
    expect(new Set(answers.map(String)).size).toBe(1)
    await waitUntil('it is connected', 5_000, async () => (await store.read(['a' as never]))[0] === null)
    expect(warnings).toEqual([])
  })

  it('survives a socket that tells of two errors, as TLS may', async () => {
    const { store } = await open({})
    const isConnected = async () => (await store.read(['a' as never]))[0] === null
    await waitUntil('it is connected', 5_000, isConnected)
    const { stream } = store.connection as unknown as { stream: NodeJS.EventEmitter & { destroy(): void } }
    stream.emit('error', new Error('first'))
    expect(() => stream.emit('error', new Error('second'))).not.toThrow()
    stream.destroy()
    await waitUntil('it is connected again', 5_000, isConnected)
  })

  it('fails what is asked while it is down, and never runs it later', async () => {
    const { proxy, store } = await open({})
    const key = `${freshNamespace()}:{late}` as never
    await waitUntil('it is connected', 5_000, async () => (await store.read([key]))[0] === null)
    proxy.set({ refuse: true })
    proxy.reset()
    const lease = { key, token: 'a', leaseMs: 5_000, seen: null, waitedFor: null }
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => store.lease([lease])))
    expect(new Set(outcomes.map(({ status }) => status))).toEqual(new Set(['rejected']))
    proxy.heal()
    await waitUntil('it is connected again', 5_000, async () => (await store.read([key]))[0] === null)
    expect((await store.inspect(key)).lease, 'nobody leased it').toBeNull()
    expect(warnings).toEqual([])
  })

  describe('says in the words of Redis or the system why it is not there', () => {
    async function refusalOf(url: string) {
      const client = new Redis(url, { lazyConnect: true })
      const store = new RedisStore({ client, namespace: freshNamespace(), clock: systemClock })
      onTestFinished(async () => {
        await store.close()
        client.disconnect()
      })
      return store.read(['a' as never]).then(
        () => expect.unreachable('it is connected'),
        (error) => error,
      )
    }

    it('that the password is wrong, which is not shown', async () => {
      const url = new URL(redisUrl())
      Object.assign(url, { username: 'nobody', password: 'hunter2' })
      const error = await refusalOf(url.href)
      expect(error.message).toMatch(/^connect did not reach the cache: WRONGPASS /)
      expect(error.cause).toMatchObject({ name: 'ReplyError', code: 'WRONGPASS' })
      expect(inspect(error, { depth: 10, showHidden: true })).not.toContain('hunter2')
    })

    it('that nobody listens, or no such host is known', async () => {
      const refused = await refusalOf('redis://127.0.0.1:1')
      expect(refused.message).toBe('connect did not reach the cache: connect ECONNREFUSED 127.0.0.1:1')
      expect(refused.cause).toMatchObject({ code: 'ECONNREFUSED' })
      expect((await refusalOf('redis://nowhere.invalid')).cause.code).toMatch(/ENOTFOUND|EAI_AGAIN/)
    })

    it('and nothing of what was mended since', async () => {
      const { proxy, store } = await open({ refuse: true })
      await expect(store.read(['a' as never])).rejects.toThrow()
      proxy.heal()
      await waitUntil('it is connected', 5_000, async () =>
        store.read(['a' as never]).then(
          () => true,
          () => false,
        ),
      )
      store.connection.disconnect()
      await waitUntil('it is closed', 5_000, () => store.connection.status === 'end')
      await expect(store.read(['a' as never])).rejects.toThrow(/: the connection is closed$/)
    })
  })
})
