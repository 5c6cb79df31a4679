import { Buffer } from 'node:buffer'
import { MemoryStore } from '../../src/adapters/memory/memory-store.js'
import type { CacheKey } from '../../src/core/key.js'
import type { SealedEntry } from '../../src/core/ports.js'
import { ManualClock } from './manual-clock.js'
import { ProcessModel, type ProcessSettings } from './process-model.js'
import { plainChance } from './seeded-chance.js'
import { TableModel } from './table-model.js'

const MAX_BYTES = 10_000
const MAX_GUARDS = 50

/** Processes of the model over one table and one store, on one clock. */
export class Fleet {
  readonly clock = new ManualClock()
  readonly table = new TableModel()
  readonly store = new MemoryStore({ clock: this.clock, maxBytes: MAX_BYTES, maxGuards: MAX_GUARDS })
  readonly #settings: Partial<ProcessSettings>
  #processes = 0
  #others = 0

  constructor(settings: Partial<ProcessSettings> = {}) {
    this.#settings = settings
  }

  /** One more process; its tokens carry its number, so that a story tells whose lease is meant. */
  start(settings: Partial<ProcessSettings> = {}, chance = plainChance(0, `p${++this.#processes}`)): ProcessModel {
    const { clock, store, table } = this
    return new ProcessModel({ clock, store, table, chance, settings: { ...this.#settings, ...settings } })
  }

  /** Memory pressure: every entry goes, guards stay. */
  async evictEntries(): Promise<void> {
    const key = this.#otherKey()
    await this.plant(key, Buffer.alloc(MAX_BYTES - key.length - 20))
  }

  /** Memory pressure: every guard goes, entries stay. */
  async evictGuards(): Promise<void> {
    const requests = Array.from({ length: MAX_GUARDS }, () => this.#lease(this.#otherKey(), null))
    await this.store.lease(requests)
  }

  /** Puts bytes under a key whatever is there, as a failover to an old replica or a foreign program might. */
  async plant(key: CacheKey, sealed: SealedEntry, keepMs = 600_000): Promise<void> {
    const [seen = null] = await this.store.read([key])
    const [reply] = await this.store.lease([this.#lease(key, seen)])
    if (reply?.outcome !== 'leased') throw new Error(`cannot plant: ${reply?.outcome}`)
    const fill = { key, token: 'planted', sealed, version: undefined, snapshot: '1:1:', keepMs } as const
    await this.store.fill([{ ...fill, loadedFrom: 'primary', replacesNewer: true }])
  }

  /** A holder that died: others may take its lease over after `leaseMs`. */
  async holdLease(key: CacheKey, leaseMs: number): Promise<void> {
    await this.store.lease([{ ...this.#lease(key, null), leaseMs }])
  }

  #otherKey(): CacheKey {
    return `shop:{other/${++this.#others}}` as CacheKey
  }

  #lease(key: CacheKey, seen: Uint8Array | null) {
    return { key, token: 'planted', leaseMs: 1, seen, waitedFor: null }
  }
}
