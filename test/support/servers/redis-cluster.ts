import { findRedis } from './find-redis.js'
import { freeClusterPort } from './free-port.js'
import { LocalRedis } from './local-redis.js'
import type { RedisOptions, RedisServer } from './redis.js'
import { redisCommand } from './redis-command.js'
import { ALL_ORIGINS } from './toolset.js'
import { waitUntil } from './wait.js'

export interface RedisClusterOptions extends Omit<RedisOptions, 'own'> {
  /** Default 3, the fewest that can agree on a failover. */
  readonly masters?: number
  /** For each master; default 0. A failover needs 1. */
  readonly replicas?: number
  /** How long a node must be silent to be held for dead; default 1000. A failover takes about twice that and a second. */
  readonly nodeTimeoutMs?: number
}

/** A running Redis Cluster; always a private one. */
export interface RedisCluster {
  /** As ioredis wants its start-up nodes. */
  readonly startNodes: readonly { readonly host: string; readonly port: number }[]
  /** Masters first, then replicas: replica `masters + i` follows master `i % masters`. These are the roles at the start. */
  readonly nodes: readonly RedisServer[]
  readonly masters: readonly RedisServer[]
  readonly replicas: readonly RedisServer[]
  stop(): Promise<void>
}

const SLOTS = 16_384
const AGREE_LIMIT_MS = 20_000

/** Starts a cluster that covers every slot; returns when every node says so. Rejects, leaving nothing, when one does not. */
export async function startRedisCluster(options: RedisClusterOptions = {}): Promise<RedisCluster> {
  const { masters = 3, replicas = 0, nodeTimeoutMs = 1_000 } = options
  const toolset = await findRedis(options.origins ?? ALL_ORIGINS)
  const settings = {
    'cluster-enabled': 'yes',
    'cluster-node-timeout': String(nodeTimeoutMs),
    // A replica may always stand for election, however long it has heard nothing.
    'cluster-replica-validity-factor': '0',
    'repl-ping-replica-period': '1',
    ...options.settings,
  }
  const count = masters * (1 + replicas)
  const starts = await Promise.allSettled(
    Array.from({ length: count }, () => LocalRedis.start({ toolset, settings, drawPort: freeClusterPort })),
  )
  const nodes = starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []))
  const stop = async () => void (await Promise.all(nodes.map((node) => node.stop())))
  try {
    for (const start of starts) if (start.status === 'rejected') throw start.reason
    await join(nodes, masters)
  } catch (error) {
    await stop()
    throw error
  }
  return {
    nodes,
    masters: nodes.slice(0, masters),
    replicas: nodes.slice(masters),
    startNodes: nodes.map(({ host, port }) => ({ host, port })),
    stop,
  }
}

/** What `redis-cli --cluster create` does, without its fixed waits. */
async function join(nodes: readonly LocalRedis[], masters: number): Promise<void> {
  const ports = nodes.map((node) => node.port)
  const first = ports[0] ?? 0
  await Promise.all(
    ports
      .slice(0, masters)
      .map((port, index) => redisCommand(port, 'CLUSTER', 'ADDSLOTSRANGE', ...slots(index, masters))),
  )
  // Different epochs from the start, or nodes would first have to settle which of them goes before the other.
  await Promise.all(ports.map((port, index) => redisCommand(port, 'CLUSTER', 'SET-CONFIG-EPOCH', index + 1)))
  await Promise.all(ports.slice(1).map((port) => redisCommand(port, 'CLUSTER', 'MEET', '127.0.0.1', first)))
  await waitUntil('every node knows the others', AGREE_LIMIT_MS, () => {
    return allSay(ports, ['CLUSTER', 'INFO'], `cluster_known_nodes:${nodes.length}\r`)
  })
  const ids = await Promise.all(ports.map((port) => redisCommand(port, 'CLUSTER', 'MYID')))
  await Promise.all(
    ports.slice(masters).map((port, index) =>
      // "Unknown node" until gossip has brought the master's name.
      waitUntil('replica accepts its master', AGREE_LIMIT_MS, async () => {
        return (await redisCommand(port, 'CLUSTER', 'REPLICATE', ids[index % masters] ?? '')) === 'OK'
      }),
    ),
  )
  await waitUntil('every node covers every slot', AGREE_LIMIT_MS, async () => {
    const covered = await allSay(ports, ['CLUSTER', 'INFO'], 'cluster_state:ok')
    return covered && (await allSay(ports.slice(masters), ['INFO', 'replication'], 'master_link_status:up'))
  })
}

function slots(index: number, masters: number): [number, number] {
  const first = (part: number): number => Math.floor((part * SLOTS) / masters)
  return [first(index), first(index + 1) - 1]
}

async function allSay(
  ports: readonly number[],
  [name, ...args]: [string, ...string[]],
  wanted: string,
): Promise<boolean> {
  const answers = await Promise.all(ports.map((port) => redisCommand(port, name, ...args)))
  return answers.every((answer) => answer.includes(wanted))
}
