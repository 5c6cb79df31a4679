import type { CacheKey } from '../../core/key.js'
import { tickKey } from '../../core/key.js'
import type { ShardMove, ShardState, StoreShards } from '../../core/ports.js'

const ONLY = 'memory'

/** `StoreShards` of a store in this process: one shard, which lives and forgets with the process. */
export class MemoryShards implements StoreShards {
  readonly #put: (key: CacheKey, text: string) => void
  readonly #get: (key: CacheKey) => string | undefined

  constructor(options: {
    put: (key: CacheKey, text: string) => void
    get: (key: CacheKey) => string | undefined
  }) {
    this.#put = options.put
    this.#get = options.get
  }

  list(): readonly string[] {
    return [ONLY]
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
}
