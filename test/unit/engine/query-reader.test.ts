import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { envelope } from '../../../src/adapters/codec/envelope.js'
import { createListCodec } from '../../../src/adapters/codec/list-codec.js'
import { MemoryStore } from '../../../src/adapters/memory/memory-store.js'
import { type CacheKey, cacheKey, keyPrefix } from '../../../src/core/key.js'
import { Background } from '../../../src/engine/background.js'
import { BatchedStore } from '../../../src/engine/batched-store.js'
import { Floors } from '../../../src/engine/floors.js'
import { Invalidation } from '../../../src/engine/invalidation.js'
import { LoadGate } from '../../../src/engine/load-gate.js'
import type { TableDependency } from '../../../src/engine/marked-entries.js'
import { type LoadedRows, type QueryCall, QueryReader } from '../../../src/engine/query-reader.js'
import { Singleflight } from '../../../src/engine/singleflight.js'
import { LoadCost } from '../../../src/policy/load-cost.js'
import { ManualClock, settle } from '../../support/manual-clock.js'
import { PausableStore } from '../../support/pausable-store.js'
import { Recorder } from '../../support/recorder.js'
import { plainChance } from '../../support/seeded-chance.js'

const FRESH_MS = 10_000

function markKey(name: string): CacheKey {
  return cacheKey(keyPrefix('shop', 'mark', 'public.reviews'), [name])
}

const TABLE = markKey('table')
const VALUES = markKey('values')
const FIVE = markKey('five')
const WHOLE: TableDependency = { table: [TABLE], bounded: undefined }

function bounded(declared = 'mine.'): TableDependency {
  return { table: [TABLE], bounded: { values: [FIVE], all: [VALUES], declared } }
}

/** One process that reads one query, over a store it may share with others. */
class QueryProcess {
  readonly events = new Recorder()
  readonly store: PausableStore
  readonly background = new Background(this.events.emit)
  readonly pending = new Set<CacheKey>()
  readonly floors = new Floors(100)
  loads = 0
  /** What the database holds, and what a load that is made now comes to. */
  load: () => Promise<Partial<LoadedRows>> = async () => ({})
  readonly #reader: QueryReader
  readonly #clock: ManualClock
  readonly #database: { stars: number }

  constructor(fleet: QueryFleet, options: { graceMs?: number; maxRows?: number } = {}) {
    const { clock, database } = fleet
    const { graceMs = 0, maxRows = 10 } = options
    this.#clock = clock
    this.#database = database
    this.store = new PausableStore(fleet.store, clock)
    const flights = new Singleflight<unknown>()
    // Nothing guards it: what fails, fails for the whole batch.
    const unguarded = Object.assign(this.store, { readParts: (keys: readonly CacheKey[]) => this.store.read(keys) })
    const parts = {
      store: new BatchedStore(unguarded, clock),
      codec: envelope,
      clock,
      chance: plainChance(0, fleet.nextName()),
      floors: this.floors,
      background: this.background,
      emit: this.events.emit,
      onHit: this.events.emit,
      epoch: () => '00000000',
      isPending: (key: CacheKey) => this.pending.has(key),
      flights,
      gate: new LoadGate({ clock, concurrency: 4, queue: 10, queueMs: 1_000 }),
      invalidation: new Invalidation({ floors: new Floors(100), flights }),
      watermark: { prove: async () => Number.NEGATIVE_INFINITY },
    }
    this.#reader = new QueryReader({
      parts,
      name: 'stars',
      prefix: 'shop:{stars?',
      codec: { ...createListCodec({ schemaVersion: '' }), share: (rows) => rows },
      read: { graceMs, beta: 0, maxEarliness: 0.25, softTimeoutMs: 100, hardTimeoutMs: 10_000 },
      fill: { jitter: 0, graceMs, lease: { minMs: 200, maxMs: 5_000, waitMs: 5_000 } },
      cost: new LoadCost(),
      freshMs: FRESH_MS,
      maxRows,
    })
  }

  /** The stars that the query gives. */
  async read(
    dependencies: readonly TableDependency[] = [WHOLE],
    consistency: 'cached' | 'primary' | 'refresh' = 'cached',
  ): Promise<number> {
    const key = cacheKey(keyPrefix('shop', 'query', 'stars'), [JSON.stringify(dependencies)])
    const run = async (): Promise<LoadedRows> => {
      this.loads++
      const rows = [{ stars: this.#database.stars }]
      return { rows, snapshot: '5:5:', loadedFrom: 'primary', ...(await this.load()) }
    }
    const rows = await this.#reader.read(
      { key, dependencies, provenBy: undefined, run } satisfies QueryCall,
      consistency,
    )
    return (rows[0] as { stars: number }).stars
  }

  async readAndSettle(...call: Parameters<QueryProcess['read']>): Promise<number> {
    const stars = await this.read(...call)
    await settle()
    return stars
  }

  /** Holds every load back until the returned function is called. */
  holdLoads(): () => void {
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    this.load = async () => {
      await held
      return {}
    }
    return release
  }

  advance(ms: number): Promise<void> {
    return this.#clock.advance(ms)
  }
}

class QueryFleet {
  readonly clock = new ManualClock()
  readonly store = new MemoryStore({ clock: this.clock, maxBytes: 100_000 })
  readonly database = { stars: 1 }
  #names = 0

  nextName(): string {
    return `p${++this.#names}`
  }

  /** A write by a process none of these hears of: committed, and fenced. */
  async write(stars: number, marks: readonly CacheKey[] = [TABLE, FIVE]): Promise<void> {
    this.database.stars = stars
    const fence = { version: null, xid: null, keepMs: 60_000, rememberAlways: false, replacement: null }
    await this.store.fence(marks.map((key) => ({ key, ...fence })))
  }
}

describe('QueryReader', () => {
  it('asks for the entry and its marks in one batch', async () => {
    const process = new QueryProcess(new QueryFleet())
    await process.readAndSettle([WHOLE, bounded()])
    process.store.calls.length = 0
    expect(await process.read([WHOLE, bounded()])).toBe(1)
    expect(process.store.calls.map(({ operation, keys }) => [operation, keys.length])).toEqual([['read', 4]])
    expect(process.loads).toBe(1)
  })

  it('tells a hit, a miss, and a result whose table was written', async () => {
    const fleet = new QueryFleet()
    const process = new QueryProcess(fleet)
    await process.readAndSettle()
    await process.readAndSettle()
    await fleet.write(2)
    expect(await process.readAndSettle()).toBe(2)
    expect(process.events.story()).toMatchInlineSnapshot(`
      "
      1 miss nothing
      2 load 1 id
      3 fill miss filled
      4 hit l2 fresh
      5 miss outdated
      6 load 1 id
      7 fill miss filled
      "
    `)
  })

  it('is not served by what is left when a mark is lost', async () => {
    const fleet = new QueryFleet()
    const process = new QueryProcess(fleet)
    await process.readAndSettle()
    await fleet.write(1)
    await process.readAndSettle()
    expect(process.loads).toBe(2)
  })

  it('keeps a bounded result while only other rows are written', async () => {
    const fleet = new QueryFleet()
    const process = new QueryProcess(fleet)
    await process.readAndSettle([bounded()])
    await fleet.write(2, [TABLE])
    expect(await process.readAndSettle([bounded()])).toBe(1)
    await fleet.write(3, [TABLE, FIVE])
    expect(await process.readAndSettle([bounded()])).toBe(3)
    await fleet.write(4, [TABLE, VALUES])
    expect(await process.readAndSettle([bounded()])).toBe(4)
  })

  it('goes by the table where another process has declared other columns', async () => {
    const fleet = new QueryFleet()
    const [mine, theirs] = [new QueryProcess(fleet), new QueryProcess(fleet)]
    await mine.readAndSettle([bounded('mine.')])
    await theirs.readAndSettle([bounded('theirs.')])
    await fleet.write(2, [TABLE])
    expect(await mine.readAndSettle([bounded('mine.')]), 'bounded').toBe(1)
    expect(await theirs.readAndSettle([bounded('theirs.')]), 'by the table').toBe(2)
  })

  it('is not served by a result from before its own fence, should the cache have forgotten that', async () => {
    const fleet = new QueryFleet()
    const process = new QueryProcess(fleet)
    await process.readAndSettle([bounded()])
    await process.advance(1)
    fleet.database.stars = 2
    process.floors.haveFenced([{ key: FIVE, version: null }], fleet.store.nowMs())
    expect(await process.readAndSettle([bounded()])).toBe(2)
    expect(await process.readAndSettle([bounded()])).toBe(2)
    expect(process.loads, 'what was stored after the fence is current').toBe(2)
  })

  describe('while a load is under way', () => {
    it('stores under the marks from before it, so that a write in between is seen', async () => {
      const fleet = new QueryFleet()
      const process = new QueryProcess(fleet)
      const release = process.holdLoads()
      const early = process.read()
      await settle()
      await fleet.write(2)
      release()
      expect(await early, 'asked for before the write').toBe(1)
      await settle()
      expect(await process.readAndSettle()).toBe(2)
      expect(process.events.of('fill').map(({ outcome }) => outcome)).toEqual(['fenced', 'filled'])
    })

    /** What a read shows whose load is under way while `change` takes place, and one that comes afterwards. */
    async function shownAround(change: (fleet: QueryFleet, process: QueryProcess) => Promise<unknown>) {
      const fleet = new QueryFleet()
      const process = new QueryProcess(fleet)
      const release = process.holdLoads()
      const early = process.read()
      await settle()
      await change(fleet, process)
      const late = process.read()
      await settle()
      release()
      return [await early, await late]
    }

    it('lets nobody have its result who came after a write it may have missed', async () => {
      expect(await shownAround((fleet) => fleet.write(2))).toEqual([1, 2])
    })

    it('gives its result to nobody who comes after an own write whose fence is pending', async () => {
      const shown = await shownAround(async (fleet, process) => {
        fleet.database.stars = 2
        process.pending.add(TABLE)
      })
      expect(shown).toEqual([1, 2])
    })

    it('waits for that of another process, and loads itself if a write came in between', async () => {
      const fleet = new QueryFleet()
      const [loading, waiting] = [new QueryProcess(fleet), new QueryProcess(fleet)]
      const release = loading.holdLoads()
      const first = loading.read()
      await settle()
      const second = waiting.read()
      await settle()
      release()
      await fleet.clock.advance(5_000)
      expect([await first, await second, waiting.loads]).toEqual([1, 1, 0])

      const again = loading.holdLoads()
      await fleet.write(2)
      const third = loading.read()
      await settle()
      const fourth = waiting.read()
      await settle()
      await fleet.write(3)
      again()
      await fleet.clock.advance(5_000)
      expect([await third, await fourth, waiting.loads]).toEqual([2, 3, 1])
    })
  })

  describe('within grace', () => {
    it('helps out with a result that is only old', async () => {
      const process = new QueryProcess(new QueryFleet(), { graceMs: 60_000 })
      await process.readAndSettle()
      await process.advance(FRESH_MS)
      process.load = () => Promise.reject(new Error('the database is away'))
      expect(await process.read()).toBe(1)
    })

    it('never with one whose table was written', async () => {
      const fleet = new QueryFleet()
      const process = new QueryProcess(fleet, { graceMs: 60_000 })
      await process.readAndSettle()
      await process.advance(FRESH_MS)
      await fleet.write(2)
      process.load = () => Promise.reject(new Error('the database is away'))
      await expect(process.read()).rejects.toThrow('away')
    })
  })

  describe('does not store', () => {
    it.each<[string, Partial<LoadedRows>, string]>([
      ['more rows than it may', { rows: Array.from({ length: 11 }, () => ({ stars: 1 })) }, 'rows'],
      ['values that have no form on the wire', { rows: [{ stars: 1, odd: new Map() }] }, 'odd'],
    ])('%s', async (_, loaded, property) => {
      const process = new QueryProcess(new QueryFleet())
      process.load = async () => loaded
      expect(await process.readAndSettle()).toBe(1)
      await process.readAndSettle()
      expect(process.loads).toBe(2)
      expect(process.events.of('entry.uncacheable').map((event) => event.property)).toEqual([property, property])
    })

    it('what a server in recovery answered', async () => {
      const process = new QueryProcess(new QueryFleet())
      process.load = async () => ({ loadedFrom: 'standby' })
      expect(await process.readAndSettle()).toBe(1)
      await process.readAndSettle()
      expect(process.loads).toBe(2)
      expect(process.events.count('primary.recovering')).toBe(2)
    })

    it('what it got while no mark could be taken', async () => {
      const process = new QueryProcess(new QueryFleet())
      process.store.breakNext('mark', 'fail')
      await process.readAndSettle()
      await process.readAndSettle()
      await process.readAndSettle()
      expect(process.loads).toBe(2)
    })

    it('what it was to read past the cache', async () => {
      const process = new QueryProcess(new QueryFleet())
      await process.readAndSettle([WHOLE], 'primary')
      expect(process.store.calls).toEqual([])
    })
  })

  it('passes the cache by while the fence of an own write has not arrived', async () => {
    const fleet = new QueryFleet()
    const process = new QueryProcess(fleet)
    await process.readAndSettle()
    process.pending.add(TABLE)
    fleet.database.stars = 2
    expect(await process.readAndSettle()).toBe(2)
    process.pending.clear()
    await fleet.write(2)
    expect(await process.readAndSettle()).toBe(2)
  })

  it('and joins no read of the same tick that does not', async () => {
    const fleet = new QueryFleet()
    const process = new QueryProcess(fleet)
    await process.readAndSettle()
    const before = process.read()
    process.pending.add(TABLE)
    fleet.database.stars = 2
    expect(await process.read()).toBe(2)
    await before
  })

  it('replaces what is there when it is told to refresh', async () => {
    const fleet = new QueryFleet()
    const process = new QueryProcess(fleet)
    await process.readAndSettle()
    fleet.database.stars = 2
    expect(await process.readAndSettle()).toBe(1)
    expect(await process.readAndSettle([WHOLE], 'refresh')).toBe(2)
    expect(await process.readAndSettle()).toBe(2)
  })

  it('takes foreign bytes under its key or a mark for a miss', async () => {
    const fleet = new QueryFleet()
    const process = new QueryProcess(fleet)
    await process.readAndSettle()
    const absence = envelope.seal({
      kind: 'absent',
      shape: createListCodec({ schemaVersion: '' }).shape,
      version: undefined,
      snapshot: '5:5:',
      freshMs: 1_000,
      loadMs: 1,
      epoch: '00000000',
      payload: new Uint8Array(0),
    })
    const key = cacheKey(keyPrefix('shop', 'query', 'stars'), [JSON.stringify([WHOLE])])
    for (const sealed of [absence, Buffer.from('not an entry')]) {
      const [seen = null] = await fleet.store.read([key])
      await fleet.store.lease([{ key, token: 'other', leaseMs: 1, seen, waitedFor: null }])
      const fill = { key, token: 'other', sealed, version: undefined, snapshot: '5:5:', keepMs: 10_000 } as const
      await fleet.store.fill([{ ...fill, loadedFrom: 'primary', replacesNewer: true }])
      expect(await process.readAndSettle()).toBe(1)
    }
    expect(process.loads).toBe(3)
  })
})
