import clusterKeySlot from 'cluster-key-slot'
import { Cluster } from 'ioredis'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { diagnose, once, planted } from '../../support/doctor-lab.js'
import { type RedisCluster, startRedisCluster } from '../../support/servers/redis-cluster.js'
import { redisCommand } from '../../support/servers/redis-command.js'
import { waitUntil } from '../../support/servers/wait.js'
import { freshDatabase, freshNamespace } from '../../support/services.js'
import { TcpProxy } from '../../support/tcp-proxy.js'
import { terraformParameters } from '../../support/terraform-example.js'

const databaseUrl = await freshDatabase()
let cluster: RedisCluster
beforeAll(async () => {
  cluster = await startRedisCluster({
    replicas: 1,
    nodeTimeoutMs: 500,
    // As the guide's Terraform example has it: what the doctor is silent about here is what that sets.
    settings: { ...terraformParameters(), maxmemory: '64mb' },
  })
})
afterAll(() => cluster.stop())

type Node = RedisCluster['nodes'][number]
const master = (at: number) => cluster.masters[at] as Node
const replica = (at: number) => cluster.replicas[at] as Node
const addressOf = ({ port }: Node) => `127.0.0.1:${port}`
const idOf = ({ port }: Node) => redisCommand(port, 'CLUSTER', 'MYID')
const setFor = async ({ port }: Node, name: string, value: string, after: string) => {
  await redisCommand(port, 'CONFIG', 'SET', name, value)
  onTestFinished(async () => void (await redisCommand(port, 'CONFIG', 'SET', name, after)))
}

/** One whose keys the second shard has nothing to do with: it will be lost, and clients try for seconds to reach what was there. */
function namespace(): string {
  const fresh = freshNamespace()
  const slots = [`{${fresh}}:epoch`, `${fresh}:bus`].map(clusterKeySlot)
  return slots.every((slot) => slot < 5_461 || slot > 10_922) ? fresh : namespace()
}

/** The application knows one node; the doctor finds the others. A password is no subject here. */
async function found(options: { from?: readonly Node[]; seeds?: readonly Node[]; natMap?: object } = {}) {
  const { from = [master(2)], seeds = [], natMap } = options
  const nodes = from.map(({ host, port }) => ({ host, port }))
  const redis = new Cluster(nodes, { lazyConnect: true, ...(natMap ? { natMap: natMap as never } : {}) })
  redis.on('error', () => {})
  onTestFinished(() => redis.disconnect())
  const diagnosed = await diagnose(
    { databaseUrl, redis, namespace: namespace() },
    seeds.flatMap((seed) => ['--seed', addressOf(seed)]),
  )
  return { ...diagnosed, ids: [...new Set(diagnosed.ids.filter((id) => id !== 'redis.no-password'))] }
}
const right = once(found)

it('a cluster as it should be gives no word', async () => {
  await waitUntil('replicas are heard of', 10_000, async () => (await found()).ids.length === 0)
  expect(await right()).toMatchObject({ ids: [], unchecked: [] })
})

planted('cluster.full-coverage', 'one node would stop for the others', {
  right,
  wrong: async () => {
    await setFor(master(0), 'cluster-require-full-coverage', 'yes', 'no')
    const diagnosed = await found()
    expect(diagnosed.find('cluster.full-coverage').subject).toBe(addressOf(master(0)))
    return diagnosed
  },
  fix: 'cluster-require-full-coverage no',
})

// No server as old as that starts here: a proxy makes the one that there is say so.
planted('redis.version', 'a node says that it is of the version before sharded channels', {
  right,
  wrong: async () => {
    const proxy = await TcpProxy.start(master(0))
    onTestFinished(() => proxy.close())
    proxy.set({ rewrite: (answer) => answer.replace(/redis_version:\d/, 'redis_version:6') })
    const diagnosed = await found({ natMap: { [addressOf(master(0))]: { host: '127.0.0.1', port: proxy.port } } })
    expect(diagnosed.subjects('redis.version')).toEqual([`127.0.0.1:${proxy.port}`])
    // Where the client goes by another way, so does the doctor, and by no other.
    expect(diagnosed.subjects('redis.no-password')).not.toContain(addressOf(master(0)))
    return diagnosed
  },
  found: /^version 6\./,
})

planted('cluster.views-differ', 'a node takes another than the owner for the owner of a slot', {
  right,
  wrong: async () => {
    const [first, second] = await Promise.all([idOf(master(0)), idOf(master(1))])
    const tell = (...words: string[]) => redisCommand(master(2).port, 'CLUSTER', 'SETSLOT', 0, ...words)
    // A move that was begun and left: what others say of this slot is not heeded until it is over.
    await tell('IMPORTING', first)
    await tell('NODE', second)
    onTestFinished(async () => {
      await tell('NODE', first)
      await tell('STABLE')
    })
    return found()
  },
  found: 'name different owners of 1 slots from 0 to 0',
  fix: 'redis-cli --cluster check',
})

/** The first primary is cut off, its replica was promoted, and it does not know. */
const halves = once(async () => {
  const [cut, successor] = [master(0), replica(0)]
  const rest = cluster.nodes.filter((node) => node !== cut && node !== successor)
  // For a minute after FORGET no message of the other is heeded: each half hears itself only.
  const [cutId, ...restIds] = await Promise.all([cut, successor, ...rest].map(idOf))
  for (const id of restIds) await redisCommand(cut.port, 'CLUSTER', 'FORGET', id)
  for (const node of rest) await redisCommand(node.port, 'CLUSTER', 'FORGET', cutId as string)
  await redisCommand(successor.port, 'CLUSTER', 'FAILOVER', 'TAKEOVER')
  await waitUntil('the others know the successor', 5_000, async () =>
    (await redisCommand(master(1).port, 'CLUSTER', 'NODES')).includes(`${addressOf(successor)}@`),
  )
  await redisCommand(successor.port, 'CLUSTER', 'FORGET', cutId as string)
  return found({ from: [successor], seeds: [cut] })
})

planted('redis.two-primaries', 'each holds itself for the owner of the same slots', {
  right,
  wrong: async () => {
    const diagnosed = await halves()
    const { subject } = diagnosed.find('redis.two-primaries')
    expect(subject.split(' and ').sort()).toEqual([master(0), replica(0)].map(addressOf).sort())
    return diagnosed
  },
  besides: 'whatever',
  found: /^each holds itself for the owner of 546\d slots from 0 to 546\d$/,
  fix: /^first drain the partitioned half/,
})
planted('cluster.epochs-differ', 'one half has not heard of the election', {
  right,
  wrong: halves,
  besides: 'whatever',
})

/** One shard has lost its replica, one all it had. */
const broken = once(async () => {
  for (const node of [replica(2), master(1), replica(1)]) await node.kill()
  await waitUntil('their ends are noticed', 10_000, async () => {
    const nodes = await redisCommand(master(2).port, 'CLUSTER', 'NODES')
    return nodes.split('\n').filter((line) => / \S*fail /.test(line)).length === 3
  })
  return found()
})

planted('cluster.node-failing', 'nodes were killed', {
  right,
  wrong: broken,
  besides: 'whatever',
  fix: 'del-node',
})
planted('cluster.no-replica', 'the only one was killed', {
  right,
  wrong: async () => {
    const diagnosed = await broken()
    // The one that took over in the test before may have none either.
    expect(diagnosed.subjects('cluster.no-replica')).toContain(addressOf(master(2)))
    return diagnosed
  },
  besides: 'whatever',
  fix: 'redis-cli --cluster add-node',
})
planted('cluster.uncovered', 'a primary and its replica were killed', {
  right,
  wrong: broken,
  besides: 'whatever',
  found: /^546\d of 16384 slots$/,
})
planted('cluster.down', 'and a node that wants all slots or none', {
  right,
  wrong: async () => {
    // The one that is cut off: clients, which would try until their time is over, do not go there.
    await setFor(master(0), 'cluster-require-full-coverage', 'yes', 'no')
    // Changes nothing, but makes it look at its state again.
    await redisCommand(master(0).port, 'CLUSTER', 'SETSLOT', 0, 'STABLE')
    await waitUntil('it refuses', 5_000, async () =>
      (await redisCommand(master(0).port, 'CLUSTER', 'INFO')).includes('cluster_state:fail'),
    )
    const diagnosed = await found({ seeds: [master(0)] })
    expect(diagnosed.subjects('cluster.down')).toEqual([addressOf(master(0))])
    return diagnosed
  },
  besides: 'whatever',
  found: 'cluster_state:fail',
})
