import { Buffer } from 'node:buffer'
import { envelope } from '../../src/adapters/codec/envelope.js'
import type { Change } from '../../src/core/change.js'
import type { Chance, Clock } from '../../src/core/clock.js'
import type { CorralEvent } from '../../src/core/events.js'
import { type CacheKey, cacheKey, keyPrefix } from '../../src/core/key.js'
import type { CacheStore, FenceRequest } from '../../src/core/ports.js'
import { Background } from '../../src/engine/background.js'
import { BatchedStore } from '../../src/engine/batched-store.js'
import { Fencer, type FenceState } from '../../src/engine/fencer.js'
import { type EngineParts, Filler, type FillSettings, type ReadSource } from '../../src/engine/filler.js'
import { Floors } from '../../src/engine/floors.js'
import { GuardedStore } from '../../src/engine/guarded-store.js'
import { HotCopies } from '../../src/engine/hot-copies.js'
import { HotKeys } from '../../src/engine/hot-keys.js'
import { Invalidation } from '../../src/engine/invalidation.js'
import { LoadGate } from '../../src/engine/load-gate.js'
import { PendingFences } from '../../src/engine/pending-fences.js'
import { Reader, type ReadSettings } from '../../src/engine/reader.js'
import { Sealer } from '../../src/engine/sealer.js'
import { ShardBreakers } from '../../src/engine/shard-breakers.js'
import { Singleflight } from '../../src/engine/singleflight.js'
import { Warmer, type WarmOutcome } from '../../src/engine/warmer.js'
import { LoadCost } from '../../src/policy/load-cost.js'
import { SharedReads } from '../../src/table/shared-reads.js'
import { PausableStore } from './pausable-store.js'
import { Recorder } from './recorder.js'
import { plainChance } from './seeded-chance.js'
import type { ModelChange, ModelRow, TableModel } from './table-model.js'

const ENTITY = 'public.products'

export interface ProcessSettings {
  readonly kind: 'row' | 'lookup'
  readonly freshMs: number | ((row: ModelRow) => number)
  readonly absentMs: number
  readonly read: ReadSettings
  readonly fill: FillSettings
  readonly cache: { readonly deadlineMs: number; readonly breakerFailures: number; readonly breakerProbeMs: number }
  readonly load: { readonly concurrency: number; readonly queue: number; readonly queueMs: number }
  readonly fenceMs: number
  readonly maxFloors: number
  readonly shape: string
  readonly epoch: string
  /** False: the table has no stamp, so neither entries nor floors have versions. */
  readonly hasVersions: boolean
  /** How much is kept to recognize entries by. */
  readonly knownBytes: number
  /** Readers who ask for the row that was asked for last get the promise that is there already. */
  readonly readsShared: boolean
  /** Copies of hot keys. Here a key is hot when it was read in the second before. */
  readonly hot: { readonly copies: number; readonly copyTtlMs: number }
}

const HOT_RULES = { counters: 64, share: 0, perSecond: 0, cooldownMs: 600_000 }

/** The defaults of `createCorral`, without jitter and early refresh, which the tests that are about them turn on. */
const DEFAULTS: ProcessSettings = {
  kind: 'row',
  freshMs: 300_000,
  absentMs: 15_000,
  read: { graceMs: 0, beta: 0, maxEarliness: 0.25, softTimeoutMs: 100, hardTimeoutMs: 10_000 },
  fill: { jitter: 0, graceMs: 0, lease: { minMs: 200, maxMs: 5_000, waitMs: 5_000 } },
  cache: { deadlineMs: 50, breakerFailures: 5, breakerProbeMs: 100 },
  load: { concurrency: 8, queue: 1_000, queueMs: 5_000 },
  fenceMs: 60_000,
  maxFloors: 1_000,
  shape: '1f0c3a7e',
  epoch: '00000000',
  hasVersions: true,
  knownBytes: 100_000,
  readsShared: false,
  hot: { copies: 0, copyTtlMs: 5_000 },
}

/** One process of the fleet: the engine as `client.ts` puts it together, over a table model instead of Postgres. */
export class ProcessModel {
  static readonly #alive = new Set<ProcessModel>()

  readonly events = new Recorder()
  readonly floors: Floors
  readonly flights = new Singleflight<unknown>()
  readonly background: Background
  readonly pending: PendingFences
  readonly gate: LoadGate
  readonly clock: Clock
  /** This process' own way to the store, where it can be paused and broken without the others noticing. */
  readonly cache: PausableStore
  readonly #table: TableModel
  readonly #settings: ProcessSettings
  readonly #fencer: Fencer
  readonly #reader: Reader<string, ModelRow>
  readonly #warmer: Warmer<string, ModelRow>
  readonly #reads: Pick<Reader<string, ModelRow>, 'read' | 'readMany'>
  readonly #shared: SharedReads | undefined
  readonly hotKeys: HotKeys
  /** Payloads decoded so far. */
  decoded = 0

  constructor(options: {
    clock: Clock
    /** Shared by the fleet. */
    store: CacheStore
    table: TableModel
    chance?: Chance
    settings?: Partial<ProcessSettings>
    onEvent?: (event: CorralEvent) => void
  }) {
    const { clock, table, onEvent = () => {} } = options
    const settings = { ...DEFAULTS, ...options.settings }
    const emit = (event: CorralEvent) => {
      this.events.emit(event)
      onEvent(event)
    }
    this.clock = clock
    this.#table = table
    this.#settings = settings
    this.background = new Background(emit)
    this.floors = new Floors(settings.maxFloors)
    this.gate = new LoadGate({ clock, ...settings.load })
    const { breakerFailures: failures, breakerProbeMs: probeMs, deadlineMs } = settings.cache
    const breakers = new ShardBreakers({
      shards: options.store.shards,
      ...{ clock, failures, probeMs },
      onChange: (shard, state) => emit({ type: 'breaker', shard, state }),
      onVanish: () => {},
    })
    this.cache = new PausableStore(options.store, clock)
    const limits = { deadlineMs, fenceDeadlineMs: deadlineMs, giveUpMs: deadlineMs }
    const store = new GuardedStore({ store: this.cache, clock, breakers, limits, emit })
    const announce = () => {}
    const onArrived = (fences: readonly FenceRequest[]) => this.floors.haveFenced(fences, store.nowMs())
    this.pending = new PendingFences({ store, clock, maxKeys: 1_000, emit, announce, onArrived })
    const { floors, flights, pending, background } = this
    const keepMs = settings.fenceMs
    const invalidation = new Invalidation({ floors, flights })
    const chance = options.chance ?? plainChance()
    this.hotKeys = new HotKeys({ clock, rules: HOT_RULES, token: chance.token() })
    const { copiesOf } = this.hotKeys
    this.#fencer = new Fencer({
      ...{ store, clock, invalidation, pending, background, keepMs, emit, announce, onArrived, copiesOf },
    })
    const parts = {
      store: new BatchedStore(store, clock),
      codec: envelope,
      clock,
      chance,
      floors,
      background,
      emit,
      onHit: emit,
      epoch: () => settings.epoch,
      isPending: pending.has,
    }
    const source = this.#source(emit)
    const cost = new LoadCost()
    const filler = new Filler({ parts, source, settings: settings.fill, cost })
    const { read, knownBytes } = settings
    this.#reader = new Reader({ parts, source, filler, flights, settings: read, knownBytes })
    const sealer = new Sealer({ parts, source, settings: settings.fill, cost })
    const { lease } = settings.fill
    this.#warmer = new Warmer({ parts, source, sealer, cost, lease, demands: () => this.#reader.demands() })
    this.#reads = settings.hot.copies > 0 ? this.#hotCopies(parts, settings) : this.#reader
    const readShared = (key: CacheKey, [id]: readonly string[]) => this.#reader.readShared(key, id as string)
    const join = (read: ReturnType<typeof readShared>) => this.#reader.join(read)
    this.#shared = settings.readsShared ? new SharedReads({ readShared, join } as never) : undefined
    ProcessModel.#alive.add(this)
  }

  /** Every process that was made since the last call and has not died. */
  static takeAlive(): ProcessModel[] {
    const alive = [...ProcessModel.#alive]
    ProcessModel.#alive.clear()
    return alive
  }

  /** The process is gone, with whatever it had in hand; nobody asks it to have cleaned up. */
  die(): void {
    ProcessModel.#alive.delete(this)
  }

  keyOf(id: string): CacheKey {
    return cacheKey(keyPrefix('shop', 'row', ENTITY), [id])
  }

  read(id: string): Promise<ModelRow | undefined> {
    const shared = this.#shared && (this.#shared.join(id) ?? this.#shared.read(this.keyOf(id), [id]))
    return (shared as Promise<ModelRow | undefined> | undefined) ?? this.#reads.read(this.keyOf(id), id)
  }

  readMany(ids: readonly string[]): Promise<(ModelRow | undefined)[]> {
    return this.#reads.readMany(
      ids.map((id) => this.keyOf(id)),
      ids,
    )
  }

  warm(id: string): Promise<WarmOutcome> {
    return this.#warmer.warm(this.keyOf(id), id)
  }

  reload(id: string): Promise<ModelRow | undefined> {
    return this.#reader.reload(this.keyOf(id), id)
  }

  loadOnly(id: string): Promise<ModelRow | undefined> {
    return this.#reader.loadOnly(this.keyOf(id), id)
  }

  /** As for a row in memory with so much left of its time, whose reader drew the lot. */
  refreshBehind(id: string, remainingMs: number): void {
    this.#reader.refreshBehind(this.keyOf(id), id, remainingMs)
  }

  /** Writes and commits one row through this process, fence included. */
  write(id: string, price: number): Promise<FenceState> {
    return this.fence(this.#table.put(id, price))
  }

  remove(id: string): Promise<FenceState> {
    return this.fence(this.#table.remove(id))
  }

  /** What follows the commit of `changes`. */
  fence(...changes: ModelChange[]): Promise<FenceState> {
    return this.#fencer.afterCommit(changes.map((change) => this.#change(change)))
  }

  /** The connection broke during COMMIT. */
  fenceUnknown(change: ModelChange, status: () => Promise<'committed' | 'aborted' | 'in progress' | 'unknown'>) {
    return this.#fencer.afterUnknownCommit([this.#change(change)], change.xid, status)
  }

  #hotCopies(parts: EngineParts, { hot, fill }: ProcessSettings): HotCopies<string, ModelRow> {
    const { hotKeys } = this
    hotKeys.register({ prefix: keyPrefix('shop', 'row', ENTITY), entity: ENTITY, copies: hot.copies })
    const settings = { ...hot, jitter: fill.jitter, leaseMs: fill.lease.minMs }
    return new HotCopies({ parts, entity: ENTITY, reader: this.#reader, hotKeys, settings, tier: undefined })
  }

  #change({ id, version, xid, absent }: ModelChange): Change {
    const hasFloor = this.#settings.hasVersions && this.#settings.kind === 'row'
    return { key: this.keyOf(id), version: hasFloor ? version : null, xid, absent, hasFloor }
  }

  #source(emit: (event: CorralEvent) => void): ReadSource<string, ModelRow> {
    const { kind, shape, freshMs, absentMs, hasVersions } = this.#settings
    return {
      entity: ENTITY,
      kind,
      shape: () => shape,
      load: async (id) => {
        const startedMs = this.clock.monotonicMs()
        const report = (failure: { error?: unknown }) =>
          emit({ type: 'load', entity: ENTITY, ids: 1, durationMs: this.clock.monotonicMs() - startedMs, ...failure })
        try {
          const { rows, snapshot, loadedFrom } = await this.gate.run(ENTITY, () => this.#table.load([[id]]))
          report({})
          const [{ row, version } = { row: undefined, version: undefined }] = rows
          return {
            value: row as ModelRow | undefined,
            version: hasVersions ? version : undefined,
            snapshot,
            loadedFrom,
          }
        } catch (error) {
          report({ error })
          throw error
        }
      },
      // As a codec does for a value it cannot bring back unchanged.
      encode: (row) => (Number.isNaN(row.price) ? UNCACHEABLE : Buffer.from(JSON.stringify(row))),
      decode: (payload) => {
        this.decoded++
        return parsed(payload)
      },
      freshMs: (row) => (row === undefined ? absentMs : typeof freshMs === 'function' ? freshMs(row) : freshMs),
      share: (row) => row,
      doubtShape: () => {},
    }
  }
}

const UNCACHEABLE = { uncacheable: 'price', found: 'not a number' }

function parsed(payload: Uint8Array): ModelRow | undefined {
  try {
    return Object.freeze(JSON.parse(Buffer.from(payload).toString('utf8')))
  } catch {
    return undefined
  }
}
