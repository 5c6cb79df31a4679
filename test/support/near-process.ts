import { Buffer } from 'node:buffer'
import { KeyColumn } from '../../src/adapters/postgres/key-column.js'
import { type Assembly, assemble } from '../../src/assembly.js'
import { type OptionGroups, resolveSettings } from '../../src/config.js'
import type { Change } from '../../src/core/change.js'
import type { Clock } from '../../src/core/clock.js'
import { type CacheKey, cacheKey, keyPrefix } from '../../src/core/key.js'
import type { CacheStore, CanonicalId, ChangeFeed } from '../../src/core/ports.js'
import type { Version } from '../../src/core/version.js'
import { BoundedReader } from '../../src/engine/bounded-reader.js'
import type { FenceState } from '../../src/engine/fencer.js'
import { Filler, type ReadSource } from '../../src/engine/filler.js'
import type { Floors } from '../../src/engine/floors.js'
import type { Invalidation } from '../../src/engine/invalidation.js'
import { Reader } from '../../src/engine/reader.js'
import { Sealer } from '../../src/engine/sealer.js'
import { LoadCost } from '../../src/policy/load-cost.js'
import { readUnder, type SessionLog } from '../../src/session.js'
import { RowOffers } from '../../src/table/row-offers.js'
import { RowTier } from '../../src/table/row-tier.js'
import type { MemoryChannel } from './memory-channel.js'
import { PausableStore } from './pausable-store.js'
import { Recorder } from './recorder.js'
import { plainChance } from './seeded-chance.js'
import { StoppableClock } from './stoppable-clock.js'
import type { ModelChange, ModelRow, TableModel } from './table-model.js'

const ENTITY = 'public.products'
const PREFIX = keyPrefix('shop', 'row', ENTITY)

export interface NearSettings extends OptionGroups {
  /** False: the table has no stamp. */
  readonly hasVersions?: boolean
  /** Writes publish rows of at most so many bytes. Default 0: they only drop. */
  readonly publishBytes?: number
  /** Of what this release makes of rows. */
  readonly shape?: string
}

/**
 * One process with a near tier and a bus, put together by the real `assemble`, over a table model instead of Postgres. `read` goes
 * the way of `CachedTable.read`.
 */
export class NearProcess {
  readonly events = new Recorder()
  readonly clock: StoppableClock
  /** This process' own way to the store. */
  readonly cache: PausableStore
  readonly channel: MemoryChannel | undefined
  readonly #assembly: Assembly
  readonly #table: TableModel
  readonly #tier: RowTier
  readonly #reader: Reader<CanonicalId, object>
  readonly #bounded: BoundedReader<CanonicalId, object>
  readonly #hasVersions: boolean
  readonly #offers: RowOffers
  readonly #shape: string
  /** Answers what stamp a row has now, before it is published. */
  confirm = async ([id]: CanonicalId): Promise<Version | undefined> => this.#table.row(id as string)?.version
  readonly #freshMs: number

  constructor(options: {
    clock: Clock
    store: CacheStore
    table: TableModel
    /** Undefined: no bus, as without Redis. */
    channel: MemoryChannel | undefined
    name: string
    settings?: NearSettings
    /** Runs a relay over this. */
    feed?: ChangeFeed | undefined
  }) {
    const { hasVersions = true, publishBytes = 0, shape = '1f0c3a7e', ...groups } = options.settings ?? {}
    this.#shape = shape
    const settings = resolveSettings({
      ...groups,
      ttl: { jitter: 0, ...groups.ttl },
      refresh: { beta: 0, ...groups.refresh },
    })
    this.clock = new StoppableClock(options.clock)
    this.cache = new PausableStore(options.store, this.clock)
    this.channel = options.channel
    this.#table = options.table
    this.#hasVersions = hasVersions
    this.#freshMs = settings.ttl.freshMs
    this.#assembly = assemble(
      {
        ...{ db: {} as never, redis: undefined, namespace: 'shop', secrets: [], settings },
        ...{ onEvent: this.events.emit, relays: options.feed !== undefined },
      },
      {
        ...{ clock: this.clock, store: this.cache, channel: options.channel ?? null },
        chance: plainChance(0, options.name),
        ...(options.feed ? { feed: options.feed } : {}),
      },
    )
    const parts = this.#assembly.table
    const l1 = {
      ...settings.l1,
      versionOf: (row: object) => (hasVersions ? (row as ModelRow).version : undefined),
      earlinessMs: () => 0,
      onLate: () => {},
    }
    const key = [new KeyColumn({ column: 'id', property: 'id', type: { name: 'text' } })]
    const takeOver: Reader<CanonicalId, object>['takeOver'] = (...published) => this.#reader.takeOver(...published)
    const { floors, isLive } = parts
    const held = hasVersions ? { floors } : {}
    this.#tier = new RowTier({ l1, prefix: PREFIX, key, clock: this.clock, isLive, takeOver, ...held })
    parts.invalidation.register(this.#tier)
    const source = this.#source()
    const { graceMs, jitter } = settings.ttl
    const fill = { jitter, graceMs, lease: settings.lease }
    const cost = new LoadCost()
    const filler = new Filler({ parts, source, settings: fill, cost, tier: this.#tier })
    const sealer = new Sealer({ parts, source, settings: fill, cost })
    const versions = { ask: (id: CanonicalId) => this.confirm(id) }
    this.#offers = new RowOffers({ parts, sealer, versions, maxBytes: publishBytes })
    const read = { graceMs, ...settings.refresh, ...settings.load }
    this.#reader = new Reader({ parts, source, filler, flights: parts.flights, settings: read, tier: this.#tier })
    const { invalidation, watermark } = parts
    this.#bounded = new BoundedReader({
      ...{ parts, invalidation, prefix: PREFIX, entity: ENTITY, reader: this.#reader, filler, tier: this.#tier },
      hardTimeoutMs: read.hardTimeoutMs,
      prove: (key, _id, boundMs) => watermark.prove([key], boundMs),
    })
  }

  get invalidation(): Invalidation {
    return this.#assembly.table.invalidation
  }

  get floors(): Floors {
    return this.#assembly.table.floors
  }

  keyOf(id: string): CacheKey {
    return cacheKey(PREFIX, [id])
  }

  /** Whether the near tier may answer now, and does for this id. */
  holds(id: string): boolean {
    const { trusted, held } = this.#tier.look(id)
    return trusted && held
  }

  read(id: string, session?: SessionLog): Promise<ModelRow | undefined> {
    if (session === undefined) return this.#read(id)
    const key = this.keyOf(id)
    return readUnder(session, {
      key,
      heed: ({ version, absent }) => this.#assembly.table.invalidation.apply({ key, version, absent, hasFloor: true }),
      read: () => this.#read(id),
      primary: () => this.readPrimary(id),
      versionOf: ({ version }) => (this.#hasVersions ? version : undefined),
    })
  }

  readWithin(id: string, maxStaleMs: number): Promise<ModelRow | undefined> {
    return this.#bounded.read(this.keyOf(id), [id], maxStaleMs) as Promise<ModelRow | undefined>
  }

  /** How the relay of this process stands. */
  get relay(): 'leader' | 'standby' | undefined {
    return this.#assembly.relay?.role
  }

  readPrimary(id: string): Promise<ModelRow | undefined> {
    return this.#reader.loadOnly(this.keyOf(id), [id]) as Promise<ModelRow | undefined>
  }

  reload(id: string): Promise<ModelRow | undefined> {
    return this.#reader.reload(this.keyOf(id), [id]) as Promise<ModelRow | undefined>
  }

  /** Writes and commits one row through this process, fence and announcement included. */
  write(id: string, price: number, session?: SessionLog): Promise<FenceState> {
    return this.#told(this.#table.put(id, price), session)
  }

  remove(id: string, session?: SessionLog): Promise<FenceState> {
    return this.#told(this.#table.remove(id), session)
  }

  close(): Promise<void> {
    return this.#assembly.close()
  }

  #read(id: string): Promise<ModelRow | undefined> {
    const held = this.#tier.recall(id) ?? this.#reader.read(this.keyOf(id), [id])
    return held as Promise<ModelRow | undefined>
  }

  /** What follows the commit of these changes, of one transaction. */
  fence(...changes: ModelChange[]): Promise<FenceState> {
    return this.#assembly.fencer.afterCommit(changes.map((change) => this.#change(change)))
  }

  /** What follows a COMMIT that was never answered. */
  fenceUnknown(change: ModelChange, status: () => Promise<'committed' | 'aborted'>): Promise<void> {
    return this.#assembly.fencer.afterUnknownCommit([this.#change(change)], change.xid, status)
  }

  #told(written: ModelChange, session: SessionLog | undefined): Promise<FenceState> {
    const change = this.#change(written)
    session?.wrote([change])
    return this.#assembly.fencer.afterCommit([change])
  }

  #change({ id, version, xid, absent, row }: ModelChange): Change {
    const stamp = this.#hasVersions ? version : null
    const offer = row && this.#offers.of(this.keyOf(id), { row, told: row, id: [id], version: stamp ?? undefined, xid })
    return { key: this.keyOf(id), version: stamp, xid, absent, hasFloor: this.#hasVersions, offer }
  }

  #source(): ReadSource<CanonicalId, object> {
    return {
      entity: ENTITY,
      kind: 'row',
      shape: () => this.#shape,
      load: async (id) => {
        const { rows, snapshot, loadedFrom } = await this.#table.load([id])
        const { row, version } = rows[0] ?? { row: undefined, version: undefined }
        return { value: row, version: this.#hasVersions ? version : undefined, snapshot, loadedFrom }
      },
      encode: (row) => Buffer.from(JSON.stringify(row)),
      decode: (payload) => Object.freeze(JSON.parse(Buffer.from(payload).toString('utf8'))) as object,
      share: (row) => row,
      freshMs: () => this.#freshMs,
      doubtShape: () => {},
    }
  }
}
