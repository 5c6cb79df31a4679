import type { CacheKey } from '../core/key.js'
import type { Version } from '../core/version.js'
import type { Floor } from '../policy/verdict.js'
import { isBelowFloor, mayBeBelowFloor } from './floors.js'
import { inRecovery } from './load-failure.js'
import type { EngineParts, LoadedValue, ReadSource } from './read-source.js'

/** How often in a row writes may overtake a reader's loads before it is given what the last of them saw. */
const MAX_OVERTAKEN = 4

/** What was loaded for whom. */
export interface Asked<Id> {
  readonly key: CacheKey
  readonly id: Id
  /** Only what the primary says will do. */
  readonly fromPrimary: boolean
  /** Called right before the database is asked once more. Default: nobody wants to know. */
  readonly asksAgain?: (() => void) | undefined
}

/** See `NearTier`. */
interface ShownTier<Id> {
  outdate(id: Id, version: Version | null): void
}

/** Holds what was loaded against what this process has shown or written, before anybody gets it. */
export class Acceptance<Id, Value> {
  readonly #parts: Pick<EngineParts, 'floors' | 'emit'>
  readonly #source: Pick<ReadSource<Id, Value>, 'entity' | 'kind'>
  readonly #tier: ShownTier<Id> | undefined
  readonly #load: (id: Id, fromPrimary: boolean) => Promise<LoadedValue<Value>>

  constructor(options: {
    parts: Pick<EngineParts, 'floors' | 'emit'>
    source: Pick<ReadSource<Id, Value>, 'entity' | 'kind'>
    tier?: ShownTier<Id> | undefined
    /** Asks the database once more. */
    load: (id: Id, fromPrimary: boolean) => Promise<LoadedValue<Value>>
  }) {
    this.#parts = options.parts
    this.#source = options.source
    this.#tier = options.tier
    this.#load = options.load
  }

  /**
   * If the floor rose while the load was under way (an own write, a message), it may have missed that write and is made again. Otherwise
   * the primary is right, even where it contradicts the floor: it was restored, or another took over. A server in recovery is not.
   *
   * A row may be written faster than it can be loaded, so that ends: what the last load saw is no older than the reader's question, and only
   * readers who asked at the same time may have been shown more. Nothing is concluded from it.
   *
   * @param before the floor from before the load.
   * @throws SourceError when a load that is made again fails, or who answers is in recovery and says less than is known.
   */
  async accept(
    { key, id, fromPrimary, asksAgain }: Asked<Id>,
    first: LoadedValue<Value>,
    before: Floor | undefined,
  ): Promise<Value | undefined> {
    if (this.#source.kind !== 'row') return first.value
    const { floors, emit } = this.#parts
    let known = before
    let loaded = first
    let overtaken = 0
    while (floors.get(key) !== known && mayBeBelowFloor(floors.get(key), known, loaded)) {
      if (overtaken++ >= MAX_OVERTAKEN && loaded.loadedFrom === 'primary') return loaded.value
      known = floors.get(key)
      asksAgain?.()
      loaded = await this.#load(id, fromPrimary)
    }
    const wasReset = isBelowFloor(floors.get(key), loaded)
    if (wasReset && loaded.loadedFrom !== 'primary') throw inRecovery(this.#source.entity)
    if (loaded.value === undefined) {
      floors.seeAbsence(key)
      this.#tier?.outdate(id, null)
      return undefined
    }
    if (wasReset) {
      floors.clear(key)
      emit({ type: 'floor.reset', entity: this.#source.entity, key })
    }
    if (loaded.version !== undefined) floors.raise(key, loaded.version, false)
    // Of a table without a stamp no floor is kept; one that an absence has left would stay for ever.
    else floors.clear(key)
    this.#tier?.outdate(id, wasReset ? null : (loaded.version ?? null))
    return loaded.value
  }
}
