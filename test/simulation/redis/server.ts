import { MemoryStore } from '../../../src/adapters/memory/memory-store.js'
import type { Clock } from '../../../src/core/clock.js'
import type { CacheKey } from '../../../src/core/key.js'
import type { StoredBytes } from '../../../src/core/ports.js'

/** So many bytes of a key's own store are its entry's at most. */
const ROOM = 20_000
const FILLER = 'filler' as CacheKey

/**
 * One Redis server in memory. Each key lies in a `MemoryStore` of its own, the twin of the scripts that store-difference.test.ts holds
 * against the real ones, so that memory pressure can take the entry of one key, or its guard.
 */
export class RedisServer {
  /** What it says it is: another one after each promotion and restart. */
  readonly name: string
  readonly ticks = new Map<CacheKey, string>()
  /** Does what this one does, as long as the link holds. */
  replica: RedisServer | undefined
  isDown = false
  /** Does what this one does so much later, and takes no writes of its own. */
  follower: RedisServer | undefined
  #followerLagMs = 0
  isReadOnly = false
  readonly #clock: Clock
  readonly #stores = new Map<CacheKey, MemoryStore>()

  constructor(clock: Clock, name: string) {
    this.#clock = clock
    this.name = name
  }

  /** Carries out one command here and then on the replica. What it changes is changed when this returns. */
  run<Reply>(key: CacheKey, command: (store: MemoryStore) => Promise<Reply>): Promise<Reply> {
    const reply = command(this.#store(key))
    void this.replica?.run(key, command).catch(() => {})
    this.#pass((server) => void server.run(key, command).catch(() => {}))
    return reply
  }

  /** What lies under a key now: neither carried out nor told to a replica. */
  async stored(key: CacheKey): Promise<StoredBytes | null> {
    return (await this.#stores.get(key)?.read([key]))?.[0] ?? null
  }

  followedBy(server: RedisServer, lagMs: number): void {
    server.isReadOnly = true
    this.follower = server
    this.#followerLagMs = lagMs
  }

  setTick(key: CacheKey, text: string): void {
    this.ticks.set(key, text)
    this.replica?.setTick(key, text)
    this.#pass((server) => server.setTick(key, text))
  }

  get keys(): readonly CacheKey[] {
    return [...this.#stores.keys()]
  }

  evictEntry(key: CacheKey): void {
    const fresh = 'x'.repeat(ROOM - FILLER.length)
    void this.run(key, (store) => store.mark([{ key: FILLER, fresh, keepMs: 1 }]))
  }

  evictGuard(key: CacheKey): void {
    const request = { key: FILLER, token: FILLER, leaseMs: 1, seen: null, waitedFor: null }
    void this.run(key, async (store) => {
      const [held = null] = await store.read([FILLER])
      return store.lease([{ ...request, seen: held }])
    })
  }

  #pass(act: (server: RedisServer) => void): void {
    const { follower } = this
    if (follower) this.#clock.after(this.#followerLagMs, () => act(follower))
  }

  #store(key: CacheKey): MemoryStore {
    const known = this.#stores.get(key)
    if (known) return known
    const store = new MemoryStore({ clock: this.#clock, maxBytes: ROOM, maxGuards: 1 })
    this.#stores.set(key, store)
    return store
  }
}
