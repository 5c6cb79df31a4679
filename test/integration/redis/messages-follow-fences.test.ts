import { Redis } from 'ioredis'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { RedisClient } from '../../../src/adapters/redis/connection.js'
import { beginMonitoring, openMonitor } from '../../../src/adapters/redis/monitor.js'
import { RedisChannel } from '../../../src/adapters/redis/redis-channel.js'
import { RedisStore } from '../../../src/adapters/redis/redis-store.js'
import { systemClock } from '../../../src/core/clock.js'
import { KeyLab } from '../../contract/store-lab.js'
import { openCluster, openStandalone } from '../../support/redis-lab.js'
import { waitUntil } from '../../support/servers/wait.js'
import { freshNamespace, redisUrl } from '../../support/services.js'

const LIMIT_MS = 5_000
const ROUNDS = 50
/** A transaction id by which the fences of this test are told from others'. */
const FENCED = '77000000000000000077'

/** A process that fences and tells, and what its Redis was sent, in order: `fence` and the messages. */
async function open() {
  const namespace = freshNamespace()
  const client = new Redis(redisUrl())
  const monitor = openMonitor(client)
  onTestFinished(() => {
    monitor.disconnect()
    client.disconnect()
  })
  const sent: string[] = []
  monitor.on('monitor', (_, [command = '', ...values]) => {
    if (/^eval/i.test(command) && values.some((value) => value.includes(FENCED))) sent.push('fence')
    if (/^publish$/i.test(command) && values[0]?.startsWith(namespace)) sent.push(String(values[1]))
  })
  await beginMonitoring(monitor)
  const connect = () => {
    const store = new RedisStore({ client: client as RedisClient, namespace, clock: systemClock })
    const channel = new RedisChannel({ client: client as RedisClient, namespace, publisher: store.connection })
    onTestFinished(async () => {
      await channel.close()
      await store.close()
    })
    return { store, channel }
  }
  return { connect, sent, untilSent: (count: number) => waitUntil('it was sent', LIMIT_MS, () => sent.length >= count) }
}

function fenceOf(key: KeyLab['key']) {
  return { key, version: '5' as never, xid: null, keepMs: 5_000, rememberAlways: false, replacement: null }
}

describe('a message on the connection of the fences', () => {
  const lab = openStandalone()

  it('leaves after the fences that were asked for before it, though none was answered', async () => {
    const { connect, sent, untilSent } = await open()
    const { store, channel } = connect()
    expect(channel.keepsOrder).toBe(true)
    const rounds = Array.from({ length: ROUNDS }, (_, at) => `round ${at}`)
    const keys = Array.from({ length: 20 }, () => fenceOf(new KeyLab(lab).key))
    for (const [at, round] of rounds.entries()) {
      await Promise.all([
        store.fence([...keys, { ...fenceOf(new KeyLab(lab).key), xid: FENCED }]),
        channel.publish(round),
      ])
      await untilSent(2 * (at + 1))
    }
    expect(sent).toEqual(rounds.flatMap((round) => ['fence', round]))
  })

  it('also where both had to wait for the connection', async () => {
    const { connect, sent, untilSent } = await open()
    const { store, channel } = connect()
    expect(store.connection.status).not.toBe('ready')
    const fence = { ...fenceOf(new KeyLab(lab).key), xid: FENCED }
    await Promise.all([store.fence([fence]), channel.publish('told')])
    await untilSent(2)
    expect(sent).toEqual(['fence', 'told'])
  })

  it('not where the server had forgotten the script: then the store says that it was sent again', async () => {
    const { connect } = await open()
    const { store } = connect()
    const key = new KeyLab(lab)
    await store.fence([fenceOf(key.key)])
    expect(store.resends).toBe(0)
    await lab.client.script('FLUSH')
    await key.put('4')
    expect(await store.fence([fenceOf(key.key)])).toEqual(['dropped'])
    expect(store.resends).toBe(1)
    expect(await key.read()).toBeNull()
  })
})

describe('a message in a cluster', () => {
  const lab = openCluster()

  it('has a way of its own, and says so', async () => {
    const channel = new RedisChannel({
      client: lab.client as RedisClient,
      namespace: freshNamespace(),
      publisher: lab.store.connection,
    })
    onTestFinished(() => channel.close())
    expect(channel.keepsOrder).toBe(false)
  })
})
