import type { Clock } from '../../core/clock.js'
import type { CacheKey } from '../../core/key.js'
import type { PartReply, StoredBytes } from '../../core/ports.js'
import { keySlot } from '../../policy/slot-copies.js'
import type { RedisConnection } from './connection.js'
import { allOf, isRedirection, partsOf } from './moving-slots.js'
import { millisecondsOf, type StoreTime } from './store-time.js'

type Answer = readonly [error: Error | null, bytes: unknown]

/**
 * Reads of a cluster: one pipeline for each node that owns some of the keys, because MGET across slots is refused. Keys that a node does not serve
 * are asked for once more, each by itself: that ioredis sends to where it has to go.
 */
export class ClusterReads {
  readonly #connection: RedisConnection
  readonly #time: StoreTime
  readonly #clock: Clock
  readonly #keyPrefix: string

  constructor({ connection, time, clock }: { connection: RedisConnection; time: StoreTime; clock: Clock }) {
    this.#connection = connection
    this.#time = time
    this.#clock = clock
    this.#keyPrefix = (connection as unknown as { options?: { keyPrefix?: string } }).options?.keyPrefix ?? ''
  }

  /** @throws PartAnswer when some keys are served by nobody now. */
  async read(keys: readonly CacheKey[]): Promise<(StoredBytes | null)[]> {
    const found: PartReply<StoredBytes | null>[] = new Array(keys.length).fill(null)
    const elsewhere: number[] = []
    await Promise.all(
      this.#byNode(keys).map(async (places) => {
        const answers = await this.#askNode(places.map((at) => keys[at] as CacheKey))
        places.forEach((at, place) => {
          const [error, bytes] = answers[place] as Answer
          if (error === null) found[at] = bytes as StoredBytes | null
          else if (isServedElsewhere(error)) elsewhere.push(at)
          else if (!isOfAnotherType(error)) throw error
        })
      }),
    )
    if (elsewhere.length === 0) return found as (StoredBytes | null)[]
    const parts = await partsOf(
      'read',
      elsewhere.map((at) => this.#readAlone(keys[at] as CacheKey)),
    )
    elsewhere.forEach((at, place) => {
      found[at] = parts[place] ?? null
    })
    return allOf(found)
  }

  #byNode(keys: readonly CacheKey[]): number[][] {
    const groups = new Map<string, number[]>()
    keys.forEach((key, at) => {
      const node = this.#connection.slots?.[keySlot(this.#keyPrefix + key)]?.join() ?? ''
      const group = groups.get(node)
      if (group) group.push(at)
      else groups.set(node, [at])
    })
    return [...groups.values()]
  }

  /**
   * TIME is among them because it is no command that reads keys. A pipeline of nothing else ioredis sends as a whole to where the first key has gone,
   * from there back for the others, and so on until it gives up.
   */
  async #askNode(keys: readonly CacheKey[]): Promise<readonly Answer[]> {
    const commands = [...keys.map((key) => ['getBuffer', key]), ['time']]
    const sentAtMs = this.#clock.monotonicMs()
    const asked = this.#connection.pipeline(commands).exec()
    const answers: readonly Answer[] = await asked.then(
      (replies) => replies ?? [],
      (error) => commands.map(() => [error, null] as const),
    )
    const [error, time] = answers[keys.length] ?? []
    if (error === null) this.#time.observe(millisecondsOf(time as readonly string[]), sentAtMs)
    return answers
  }

  #readAlone(key: CacheKey): Promise<StoredBytes | null> {
    return this.#connection.getBuffer(key).catch((error) => {
      if (isOfAnotherType(error)) return null
      throw error
    })
  }
}

/** The last is ioredis' own word, while it learns where a slot has gone. */
function isServedElsewhere(error: Error): boolean {
  return isRedirection(error) || /^CLUSTERDOWN |same slots allocation group$/.test(error.message)
}

/** A value of another type under our key is a miss, as it is for MGET. */
function isOfAnotherType(error: Error): boolean {
  return error.message.startsWith('WRONGTYPE')
}
