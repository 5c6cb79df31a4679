import type { Redis } from 'ioredis'
import { connect } from '../harness/connect.js'
import { sideBySide } from '../harness/loops.js'
import type { Place } from '../harness/place.js'
import type { Contender, Contenders } from '../harness/throughput.js'
import { zipfIds } from '../harness/zipf.js'

/** Entries written in each layout. */
export const KEYS = 2_000
/** Bytes of one entry, header included. */
const ENTRY_BYTES = 1_024
const IN_FLIGHT = 64

const IDS = zipfIds(KEYS, 2 ** 15)
const VALUE = 'x'.repeat(ENTRY_BYTES)

/**
 * The hit path of each layout that was considered, as close to the wire as the client allows: what 64 readers ask for in one
 * tick travels as the layout permits.
 */
export const contenders: Contenders = {
  'string, one MGET a tick': (place) =>
    open(
      place,
      's',
      (redis, key) => redis.set(key, VALUE),
      (redis) => tickBatch((keys) => redis.mgetBuffer(keys)),
    ),
  'string, GET each': (place) =>
    open(
      place,
      's',
      (redis, key) => redis.set(key, VALUE),
      (redis) => (key) => redis.getBuffer(key),
    ),
  'hash, HMGET pipelined a tick': (place) =>
    open(place, 'h', writeHash, (redis) =>
      tickBatch(async (keys) => {
        const pipeline = redis.pipeline()
        for (const key of keys) pipeline.hmgetBuffer(key, 'v', 's', 'x', 'e')
        return ((await pipeline.exec()) ?? []).map(([, fields]) => (fields as Buffer[])[0])
      }),
    ),
  'hash, HMGET each': (place) =>
    open(place, 'h', writeHash, (redis) => async (key) => (await redis.hmgetBuffer(key, 'v', 's', 'x', 'e'))[0]),
}

/** Everything in one hash: payload, stamp, expiry, epoch. */
function writeHash(redis: Redis, key: string): Promise<unknown> {
  return redis.hset(key, { v: VALUE, s: '1795207238308940', x: '1795207238308', e: '00000000' })
}

type Read = (key: string) => Promise<unknown>

async function open(
  place: Place,
  layout: 's' | 'h',
  write: (redis: Redis, key: string) => Promise<unknown>,
  reading: (redis: Redis) => Read,
): Promise<Contender> {
  const connections = connect(place)
  const keyOf = (id: number) => `${layout}:{products/${id}}`
  await Promise.all(Array.from({ length: KEYS }, (_, index) => write(connections.redis, keyOf(index + 1))))
  const read = reading(connections.redis)
  return {
    workloads: { [`${IN_FLIGHT} in flight`]: (times) => sideBySide((id) => read(keyOf(id)), IDS, times, IN_FLIGHT) },
    close: () => connections.close(),
  }
}

/** What `engine/tick-batch` does, without its types. */
function tickBatch(send: (keys: string[]) => Promise<unknown[]>): Read {
  let keys: string[] = []
  let waiting: ((reply: unknown) => void)[] = []
  const leave = async () => {
    const resolves = waiting
    const asked = keys
    keys = []
    waiting = []
    const replies = await send(asked)
    resolves.forEach((resolve, at) => {
      resolve(replies[at])
    })
  }
  return (key) =>
    new Promise((resolve) => {
      if (keys.push(key) === 1) void Promise.resolve().then(() => process.nextTick(() => void leave()))
      waiting.push(resolve)
    })
}
