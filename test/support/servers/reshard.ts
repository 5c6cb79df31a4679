import { Redis } from 'ioredis'
import { redisCommand } from './redis-command.js'

/** Ports of the nodes of one cluster. */
export interface Move {
  readonly nodes: readonly number[]
  readonly from: number
  readonly to: number
  /** Slots to move, of those that `from` owns. */
  readonly count: number
  /** Those of them that are to be among them. Default: none in particular. */
  readonly including?: readonly number[]
}

const SLOTS_AT_ONCE = 20

const KEYS_AT_ONCE = 100

/** Moves slots with their keys from one master to another while they are used, slot by slot, as `redis-cli --cluster reshard` does. */
export async function moveSlots({ nodes, from, to, count, including = [] }: Move): Promise<number> {
  const connect = (port: number) => {
    const redis = new Redis(port, '127.0.0.1')
    redis.on('error', () => {})
    return redis
  }
  const [source, target, ...others] = [from, to, ...nodes.filter((port) => port !== from && port !== to)].map(
    connect,
  ) as [Redis, Redis, ...Redis[]]
  try {
    const [sourceId, targetId] = await Promise.all([source.cluster('MYID'), target.cluster('MYID')])
    const owned = await slotsOf(source, String(sourceId))
    const wanted = new Set(including)
    const slots = [...owned.filter((slot) => wanted.has(slot)), ...owned.filter((slot) => !wanted.has(slot))].slice(
      0,
      count,
    )
    const move = async (slot: number) => {
      await target.cluster('SETSLOT', slot, 'IMPORTING', sourceId)
      await source.cluster('SETSLOT', slot, 'MIGRATING', targetId)
      for (;;) {
        const keys = await source.cluster('GETKEYSINSLOT', slot, KEYS_AT_ONCE)
        if (keys.length === 0) break
        await source.migrate('127.0.0.1', to, '', 0, 5_000, 'REPLACE', 'KEYS', ...keys)
      }
      // The new owner first: in between, nobody would own it.
      for (const node of [target, source]) await node.cluster('SETSLOT', slot, 'NODE', targetId)
      // Replicas refuse, and hear of it from the others.
      await Promise.all(others.map((node) => node.cluster('SETSLOT', slot, 'NODE', targetId).catch(() => {})))
    }
    for (let at = 0; at < slots.length; at += SLOTS_AT_ONCE) {
      await Promise.all(slots.slice(at, at + SLOTS_AT_ONCE).map(move))
    }
    return slots.length
  } finally {
    for (const redis of [source, target, ...others]) redis.disconnect()
  }
}

/** A slot that stays on its way from one master to another, as an interrupted reshard leaves it. */
export interface OpenSlot {
  /** Has these keys go ahead. */
  move(keys: readonly string[]): Promise<void>
  /** The slot has arrived. What has not gone ahead is lost. */
  finish(): Promise<void>
  /** Leaves the slot where it belongs now; what lies elsewhere is out of reach. */
  close(): Promise<void>
}

/** @param from the port of its owner. @param to the port of another master. */
export async function openSlot({ from, to, slot }: { from: number; to: number; slot: number }): Promise<OpenSlot> {
  const [fromId, toId] = await Promise.all([from, to].map((port) => redisCommand(port, 'CLUSTER', 'MYID')))
  await redisCommand(to, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', String(fromId))
  await redisCommand(from, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', String(toId))
  return {
    move: async (keys) => void (await redisCommand(from, 'MIGRATE', '127.0.0.1', to, '', 0, 5_000, 'KEYS', ...keys)),
    finish: async () => {
      for (const port of [to, from]) await redisCommand(port, 'CLUSTER', 'SETSLOT', slot, 'NODE', String(toId))
    },
    close: async () => {
      for (const port of [from, to]) await redisCommand(port, 'CLUSTER', 'SETSLOT', slot, 'STABLE')
    },
  }
}

async function slotsOf(node: Redis, id: string): Promise<number[]> {
  const own = String(await node.cluster('NODES'))
    .split('\n')
    .find((line) => line.startsWith(id))
  const ranges =
    own
      ?.split(' ')
      .slice(8)
      .filter((part) => !part.startsWith('[')) ?? []
  return ranges.flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, at) => first + at)
  })
}
