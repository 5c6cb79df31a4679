import { Cluster, Redis } from 'ioredis'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import type { RedisClient } from '../../../src/adapters/redis/connection.js'
import { RedisChannel } from '../../../src/adapters/redis/redis-channel.js'
import { keySlot } from '../../../src/policy/slot-copies.js'
import { startRedis } from '../../support/servers/redis.js'
import { startRedisCluster } from '../../support/servers/redis-cluster.js'
import { redisCommand } from '../../support/servers/redis-command.js'
import { waitUntil } from '../../support/servers/wait.js'
import { freshNamespace, redisClusterNodes, redisUrl } from '../../support/services.js'
import { TcpProxy } from '../../support/tcp-proxy.js'

const LIMIT_MS = 5_000

interface Side {
  readonly channel: RedisChannel
  /** `up`, `down` and the messages heard, in order. */
  readonly heard: string[]
  isUp(): boolean
  /** `up` and `down`, in order. */
  states(): string[]
  /** Publishes until it hears itself: what a subscription is worth. */
  hearsItself(): Promise<void>
}

function open(client: Redis | Cluster, namespace: string): Side {
  const heard: string[] = []
  client.on('error', () => {})
  const channel = new RedisChannel({ client: client as RedisClient, namespace })
  channel.open({
    onMessage: (message) => void heard.push(message),
    onUp: () => void heard.push('up'),
    onDown: () => void heard.push('down'),
  })
  onTestFinished(async () => {
    await channel.close()
    client.disconnect()
  })
  const states = () => heard.filter((word) => word === 'up' || word === 'down')
  const isUp = () => states().at(-1) === 'up'
  return {
    channel,
    heard,
    isUp,
    states,
    hearsItself: async () => {
      let number = 0
      await waitUntil('hears itself', LIMIT_MS, async () => {
        const word = `echo ${namespace} ${heard.length} ${++number}`
        await channel.publish(word)
        await new Promise((resolve) => setTimeout(resolve, 20))
        return isUp() && heard.includes(word)
      })
    },
  }
}

function untilUp(side: Side): Promise<void> {
  return waitUntil('the channel is up', LIMIT_MS, () => side.isUp())
}

const standalone = (url = redisUrl(), options = {}) => new Redis(url, { lazyConnect: true, ...options })
const cluster = (nodes = redisClusterNodes(), options = {}) => new Cluster(nodes, { lazyConnect: true, ...options })

describe.each([
  ['one node', standalone],
  ['a cluster', () => cluster()],
  ['one node, with a key prefix', () => standalone(redisUrl(), { keyPrefix: 'app:' })],
  ['a cluster, with a key prefix', () => cluster(redisClusterNodes(), { keyPrefix: 'app:' })],
  [
    'a cluster, with a key prefix among the options of its nodes',
    () => cluster(redisClusterNodes(), { redisOptions: { keyPrefix: 'app:' } }),
  ],
])('RedisChannel over %s', (_, connect) => {
  it('carries messages to every side in the order of publishing, its own included, and to no other namespace', async () => {
    const namespace = freshNamespace()
    const [a, b, other] = [open(connect(), namespace), open(connect(), namespace), open(connect(), freshNamespace())]
    await Promise.all([a, b, other].map(untilUp))
    const sent = Array.from({ length: 50 }, (_, at) => `message ${at}`)
    await Promise.all(sent.map((message) => a.channel.publish(message)))
    for (const side of [a, b]) {
      await waitUntil('everything is heard', LIMIT_MS, () => side.heard.length > sent.length)
      expect(side.heard).toEqual(['up', ...sent])
    }
    expect(other.heard).toEqual(['up'])
  })

  it('comes up again after its connections were replaced, and says so', async () => {
    const side = open(connect(), freshNamespace())
    await untilUp(side)
    side.channel.renew()
    expect(side.isUp()).toBe(false)
    await side.hearsItself()
    expect(side.states()).toEqual(['up', 'down', 'up'])
  })

  it('is silent once it is closed, and refuses to publish', async () => {
    const side = open(connect(), freshNamespace())
    await untilUp(side)
    await side.channel.close()
    const before = side.heard.length
    await expect(side.channel.publish('too late')).rejects.toThrow()
    side.channel.renew()
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(side.heard.slice(before).filter((word) => word !== 'down')).toEqual([])
  })
})

describe('RedisChannel over one node', () => {
  it('notices that its subscriber was killed, and subscribes anew', async () => {
    const server = await startRedis({ own: true })
    onTestFinished(() => server.stop())
    const side = open(standalone(server.url), 'shop')
    await untilUp(side)
    await redisCommand(server.port, 'CLIENT', 'KILL', 'TYPE', 'pubsub')
    await side.hearsItself()
    expect(side.states()).toEqual(['up', 'down', 'up'])
  })

  it('notices that the server was restarted, and comes up again by itself', async () => {
    const server = await startRedis({ own: true })
    onTestFinished(() => server.stop())
    const side = open(standalone(server.url), 'shop')
    await untilUp(side)
    await server.kill()
    await waitUntil('it is down', LIMIT_MS, () => !side.isUp())
    await expect(side.channel.publish('to nobody')).rejects.toThrow()
    await server.restart()
    await side.hearsItself()
  })

  it('is down for as long as it may not subscribe', async () => {
    const server = await startRedis({ own: true })
    onTestFinished(() => server.stop())
    await redisCommand(server.port, 'ACL', 'SETUSER', 'mute', 'on', '>secret', '+@all', '~*', 'resetchannels')
    const side = open(standalone(`redis://mute:secret@127.0.0.1:${server.port}`), 'shop')
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(side.heard).toEqual([])
    await redisCommand(server.port, 'ACL', 'SETUSER', 'mute', 'allchannels')
    side.channel.renew()
    await untilUp(side)
  })

  it('replaces half-open connections without waiting for them, and hears no more through the old ones', async () => {
    const proxy = await TcpProxy.start({ port: Number(new URL(redisUrl()).port) })
    onTestFinished(() => proxy.close())
    const namespace = freshNamespace()
    const [side, other] = [open(standalone(proxy.through(redisUrl())), namespace), open(standalone(), namespace)]
    await Promise.all([side, other].map(untilUp))
    proxy.set({ blackHole: 'up' })
    const lost = side.channel.publish('into the hole')
    const refused = expect(lost).rejects.toThrow()
    proxy.set({ blackHole: undefined })
    const startedMs = performance.now()
    side.channel.renew()
    await side.hearsItself()
    await refused
    expect(performance.now() - startedMs).toBeLessThan(1_000)
    const before = side.heard.length
    await other.channel.publish('once')
    await waitUntil('it is heard', LIMIT_MS, () => side.heard.length > before)
    expect(side.heard.slice(before)).toEqual(['once'])
    expect(proxy.connections).toBe(2)
  })
})

describe('RedisChannel over a cluster', () => {
  const starting = startRedisCluster({ replicas: 1, nodeTimeoutMs: 500 })
  afterAll(async () => (await starting).stop())

  async function openSides() {
    const servers = await starting
    const nodes = servers.startNodes.map(({ host, port }) => ({ host, port }))
    const namespace = freshNamespace()
    const sides = [open(cluster(nodes), namespace), open(cluster(nodes), namespace)] as const
    await Promise.all(sides.map(untilUp))
    return { servers, sides, slot: keySlot(`${namespace}:bus`) }
  }

  /** Ports of the nodes that say they own the slot. */
  async function ownerOf(slot: number, ports: readonly number[]): Promise<number> {
    for (const port of ports) {
      const answer = await redisCommand(port, 'CLUSTER', 'NODES').catch(() => '')
      for (const line of answer.split('\n')) {
        const [, address = '', flags = '', , , , , link, ...ranges] = line.split(' ')
        if (!flags.includes('master') || flags.includes('fail') || link !== 'connected') continue
        const owns = ranges.some((range) => {
          const [first, last = first] = range.split('-').map(Number) as [number, number?]
          return first <= slot && slot <= last
        })
        if (owns) return Number(/:(\d+)@/.exec(address)?.[1])
      }
    }
    throw new Error(`nobody owns slot ${slot}`)
  }

  it('meets on the node that owns the channel, and hears itself after each of: a killed subscriber, a planned and an unplanned failover', async () => {
    const { servers, sides, slot } = await openSides()
    const ports = servers.nodes.map(({ port }) => port)
    const bothHear = async () => {
      for (const side of sides) await side.hearsItself()
      const [a, b] = sides
      const before = b.heard.length
      await a.channel.publish('to the other')
      await waitUntil('the other hears it', LIMIT_MS, () => b.heard.slice(before).includes('to the other'))
    }

    const first = await ownerOf(slot, ports)
    await redisCommand(first, 'CLIENT', 'KILL', 'TYPE', 'pubsub')
    await waitUntil('both were told', LIMIT_MS, () => sides.every(({ heard }) => heard.includes('down')))
    await bothHear()

    const index = servers.masters.findIndex(({ port }) => port === first)
    const replica = servers.replicas[index]?.port as number
    expect(await redisCommand(replica, 'CLUSTER', 'FAILOVER')).toBe('OK')
    await waitUntil('the replica has taken over', LIMIT_MS, async () => (await ownerOf(slot, ports)) === replica)
    await bothHear()

    const crashed = servers.nodes.find(({ port }) => port === replica)
    const told = sides.map((side) => side.states().length)
    await crashed?.kill()
    await waitUntil('the other node has taken over', LIMIT_MS, async () => (await ownerOf(slot, [first])) === first)
    await waitUntil('both noticed', LIMIT_MS, () => sides.every((side, at) => side.states().length > (told[at] ?? 0)))
    // As the bus does, again and again: a node that was asked for the topology may not have heard of the new owner yet.
    await waitUntil('both are up again', 3 * LIMIT_MS, async () => {
      for (const side of sides) if (!side.isUp()) side.channel.renew()
      await new Promise((resolve) => setTimeout(resolve, 500))
      return sides.every((side) => side.isUp())
    })
    await bothHear()
  }, 60_000)
})
