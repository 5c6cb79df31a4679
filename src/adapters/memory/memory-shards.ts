import type { CacheKey } from '../../core/key.js'
import { tickKey } from '../../core/key.js'
import type { KeyPage, ShardMove, ShardState, StoreShards } from '../../core/ports.js'

const ONLY = 'memory'
const ONLY_LIST: readonly string[] = [ONLY]
/** Begins the keys of epoch and tick, which are no entries. */
const OF_NAMESPACE = '{'

/** `StoreShards` of a store in this process: one shard, which lives and forgets with the process. */
export class MemoryShards implements StoreShards {
  readonly #put: (key: CacheKey, text: string) => void
  readonly #get: (key: CacheKey) => string | undefined
  readonly #keys: () => Iterable<CacheKey>

  constructor(options: {
    put: (key: CacheKey, text: string) => void
    get: (key: CacheKey) => string | undefined
    keys: () => Iterable<CacheKey>
  }) {
    this.#put = options.put
    this.#get = options.get
    this.#keys = options.keys
  }

  list(): readonly string[] {
    return ONLY_LIST
  }

  of(_key: CacheKey): string {
    return ONLY
  }

  tickKey(shard: string): CacheKey {
    return tickKey(shard, 0)
  }

  async look(shard: string): Promise<ShardState> {
    return { server: ONLY, isKnown: true, tick: this.#get(this.tickKey(shard)) }
  }

  async tick(shard: string, text: string, server: string): Promise<ShardState> {
    if (server === ONLY) this.#put(this.tickKey(shard), text)
    return this.look(shard)
  }

  takeMoves(): readonly ShardMove[] {
    return []
  }

  /** All at once: they are in this process' memory anyway, and change their order with every read. */
  async scan(_shard: string, _cursor: string | null, _count: number): Promise<KeyPage> {
    return { keys: [...this.#keys()].filter((key) => !key.startsWith(OF_NAMESPACE)), next: null }
  }
}
