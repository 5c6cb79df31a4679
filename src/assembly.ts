import { type EncryptionOptions, resolveEncryption } from './adapters/codec/encryption-options.js'
import { Envelope } from './adapters/codec/envelope.js'
import { IntervalClass } from './adapters/codec/interval-class.js'
import { PayloadCipher } from './adapters/codec/payload-cipher.js'
import { MemoryLockHints } from './adapters/memory/lock-hints.js'
import { MemoryStore } from './adapters/memory/memory-store.js'
import { OtelTelemetry } from './adapters/otel/otel-telemetry.js'
import { resolveTelemetry, type TelemetryOptions } from './adapters/otel/telemetry-options.js'
import type { TableFacts } from './adapters/postgres/catalog.js'
import { type Durability, raiseEpoch, readDurability, readEpoch } from './adapters/postgres/durability.js'
import { PostgresLockTokens } from './adapters/postgres/lock-tokens.js'
import { OutboxFeed } from './adapters/postgres/outbox-feed.js'
import { pruneTombstones } from './adapters/postgres/prune-tombstones.js'
import { RelationDirectory } from './adapters/postgres/relation-directory.js'
import type { AnyDatabase } from './adapters/postgres/row-writer.js'
import { readSight } from './adapters/postgres/sight.js'
import { SlotFeed } from './adapters/postgres/slot-feed.js'
import type { RedisClient } from './adapters/redis/connection.js'
import { RedisLockHints } from './adapters/redis/lock-hints.js'
import { RedisChannel } from './adapters/redis/redis-channel.js'
import { RedisStore } from './adapters/redis/redis-store.js'
import type { Settings } from './config.js'
import { type Chance, type Clock, systemBytes, systemChance, systemClock } from './core/clock.js'
import type { EmitEvent } from './core/events.js'
import type { CacheKey } from './core/key.js'
import type { CacheStore, ChangeFeed, Channel, FenceRequest } from './core/ports.js'
import { NO_TELEMETRY, type Telemetry } from './core/telemetry.js'
import { Background } from './engine/background.js'
import { BatchedStore } from './engine/batched-store.js'
import { Bus } from './engine/bus.js'
import { Calls } from './engine/calls.js'
import { endsWithinMs } from './engine/deadline.js'
import { Epoch } from './engine/epoch.js'
import { FencedLocks } from './engine/fenced-locks.js'
import { Fencer, type FenceState } from './engine/fencer.js'
import { Floors } from './engine/floors.js'
import { GuardedStore } from './engine/guarded-store.js'
import { HotKeys } from './engine/hot-keys.js'
import { Invalidation } from './engine/invalidation.js'
import { LoadGate } from './engine/load-gate.js'
import { Outage } from './engine/outage.js'
import { PendingFences } from './engine/pending-fences.js'
import { ReplicaTrust, type ReplicaTrustOptions } from './engine/replica-trust.js'
import { ShardBreakers } from './engine/shard-breakers.js'
import { Singleflight } from './engine/singleflight.js'
import { Watermark } from './engine/watermark.js'
import { Relay } from './jobs/relay.js'
import type { ResolvedSlot } from './relay-options.js'
import type { JobParts } from './table/job-parts.js'
import type { TableParts } from './table/parts.js'

/** What tests and simulations replace. Not part of the public API. */
export interface Seams {
  readonly clock?: Clock
  readonly chance?: Chance
  readonly store?: CacheStore
  /** Null: no bus, as without Redis. */
  readonly channel?: Channel | null
  /** What a relay reads instead of the outbox. */
  readonly feed?: ChangeFeed
}

export interface AssemblyOptions {
  readonly db: AnyDatabase
  readonly redis: RedisClient | undefined
  readonly namespace: string
  readonly secrets: readonly string[]
  /** Undefined: entries are in the clear. @throws ConfigError for bad ones. */
  readonly encryption?: EncryptionOptions | undefined
  readonly settings: Settings
  /** Processes of the namespace load from a standby; this one from `db`, if it is given. Undefined: none does. */
  readonly replica?: { readonly db?: AnyDatabase } | undefined
  /** Default: `true`. @throws ConfigError for bad ones. */
  readonly telemetry?: boolean | TelemetryOptions | undefined
  /** Runs a relay. Default: none. */
  readonly relays?: boolean
  /** What it reads. Undefined: the outbox. */
  readonly slot?: ResolvedSlot | undefined
  /** Undefined: nobody listens. */
  readonly onEvent: EmitEvent | undefined
}

/** What relay and background have to end by themselves at least, when calls have taken all of the time there is. */
const LEAST_FAREWELL_MS = 1_000

/** One instance's wired parts. The only place where parts are chosen and constructed. */
export interface Assembly {
  readonly table: TableParts
  /** What jobs over stored copies need besides. */
  readonly jobs: Pick<JobParts, 'stored' | 'forget'>
  readonly fencer: Fencer
  readonly gate: LoadGate
  readonly locks: FencedLocks
  readonly pending: PendingFences
  readonly store: GuardedStore
  readonly telemetry: Telemetry
  /** Undefined: this process runs none. */
  readonly relay: Relay | undefined
  /** Of the opened tables; `ttl-only` without one. */
  leastDurability(): Durability
  /** Learns the epoch from the database. To be awaited before the first read. `on`: the only connection that may be used. @throws SourceError */
  ready(on?: AnyDatabase): Promise<void>
  /** A table was opened. @throws SourceError */
  opened(facts: TableFacts, on?: AnyDatabase): Promise<void>
  /** How far behind the database the cache is at most; undefined: nobody has asked lately, or nobody can say. */
  watermarkAgeMs(): number | undefined
  /** Makes everything stored until now a miss. @throws SourceError, ConfigError */
  bumpEpoch(): Promise<FenceState>
  close(): Promise<void>
}

export function assemble(options: AssemblyOptions, seams: Seams): Assembly {
  const { db, redis, namespace, settings, onEvent, secrets } = options
  const clock = seams.clock ?? systemClock
  const chance = seams.chance ?? systemChance
  const traced = resolveTelemetry(options.telemetry)
  // Whatever may refuse an option goes before telemetry, which the application's meters hold on to.
  const codec = openCodec(options)
  const telemetry = traced ? new OtelTelemetry({ ...traced, clock, namespace, secret: secrets[0] }) : NO_TELEMETRY
  const emit: EmitEvent = (event) => {
    telemetry.onEvent(event)
    onEvent?.(event)
  }

  const inner = seams.store ?? openStore(options, clock)
  const { fenceMs: keepMs, maxFloors, maxPendingFences: maxKeys } = settings.cache
  const { breakerFailures: failures, breakerProbeMs: probeMs } = settings.cache
  const breakers = new ShardBreakers({
    ...{ shards: inner.shards, clock, failures, probeMs },
    onChange(shard, state) {
      emit({ type: 'breaker', shard, state })
      outage.note(shard, state)
      if (state === 'closed') pending.retryNow()
    },
    onVanish: (shard) => outage.vanished(shard),
  })
  const store: GuardedStore = new GuardedStore({
    ...{ store: inner, clock, breakers, limits: settings.cache, emit },
    isDoubtful: (key) => outage.covers(key),
  })
  const floors = new Floors(maxFloors)
  const flights = new Singleflight<unknown>()
  const invalidation = new Invalidation({ floors, flights })
  const background = new Background(emit)
  const gate = new LoadGate({ clock, ...settings.load })
  const calls = new Calls()

  const onReturn: Telemetry['busDelay'] = (delayMs) => telemetry.busDelay(delayMs)
  const channel = seams.channel === undefined && redis ? openChannel(redis, namespace, inner) : seams.channel
  const bus = channel
    ? new Bus({ channel, clock, chance, invalidation, settings: settings.bus, emit, secrets, onReturn })
    : undefined
  const announce: Bus['announce'] = (changes) => bus?.announce(changes)
  const shardOf = (key: CacheKey) => inner.shards.of(key)
  const onArrived = (fences: readonly FenceRequest[]) => floors.haveFenced(fences, store.nowMs())
  const pending = new PendingFences({ store, clock, maxKeys, emit, announce, onArrived, shardOf })
  inner.onConnected?.(() => {
    breakers.tryNow()
    pending.retryNow()
  })
  const hotKeys = new HotKeys({ clock, rules: settings.hotKeys, token: chance.token() })
  const rememberAlways = options.replica !== undefined
  const { copiesOf } = hotKeys
  const written = { clock, invalidation, pending, background, keepMs, emit, announce }
  const behind = { ...written, copiesOf, rememberAlways, telemetry }
  const fencer = new Fencer({ store, shardOf, onArrived, announcesBehind: channel?.keepsOrder ?? false, ...behind })
  const lookEveryMs = settings.bus.heartbeatMs
  const epoch = new Epoch({ namespace, store, clock, invalidation, flights, lookEveryMs, emit, announce })
  const relay = options.relays
    ? new Relay({
        feed: seams.feed ?? openFeed(options, clock, emit),
        // Not by way of the breaker: the relay does not give up, and each shard is a case of its own.
        ...{ store: inner, shards: inner.shards, namespace, clock, chance, emit, epoch, settings: settings.relay },
        telemetry,
        fenceOver: (shards) => {
          // What it fences is told as a batch of the relay.
          const relayed = new Fencer({ store: shards, ...behind, emit: () => {} })
          return (changes) => relayed.afterCommit(changes)
        },
        tidy: () => pruneTombstones(db),
      })
    : undefined
  const durability = new Map<string, Durability>()
  const batched = new BatchedStore(store, clock, (act) => telemetry.bind(act))
  const watermark = new Watermark({
    ...{ shards: inner.shards, clock },
    read: (key) => batched.read(key),
    learnEpoch: (number) => epoch.learn(number),
  })
  const outage = new Outage({ clock, shards: inner.shards, watermark, emit })
  // Without a bus there is no other process, and every write of this one is applied as it is made.
  const isLive = bus ? (nowMs: number) => bus.isLive(nowMs) : () => true
  const replicaLoads = options.replica?.db && {
    db: options.replica.db,
    gate: new LoadGate({ clock, ...settings.load }),
  }
  const replica = replicaLoads && openReplica(options, { clock, isLive, background, emit })
  if (replica) invalidation.register(replica)
  let ready: Promise<void> | undefined
  const locks = new FencedLocks({
    tokens: new PostgresLockTokens(db),
    hints: inner instanceof RedisStore ? new RedisLockHints(inner.connection, namespace) : new MemoryLockHints(clock),
    deadlineMs: settings.cache.deadlineMs,
    ...{ clock, chance, emit },
  })
  telemetry.watchInstance(() => ({
    breaker: store.breakerState,
    pendingFences: pending.size,
    loads: { running: gate.running, waiting: gate.waiting },
    hotKeys: hotKeys.hotByEntity(),
    locksHeld: locks.held,
    relay: relay && { ...relay.figures, leads: relay.role === 'leader' },
  }))
  bus?.start()
  relay?.start()

  return {
    fencer,
    gate,
    locks,
    pending,
    store,
    telemetry,
    relay,
    leastDurability() {
      const [first, ...others] = new Set(durability.values())
      // Relays of a namespace read one source: with tables of both, some are not told of.
      return first === undefined || others.length > 0 ? 'ttl-only' : first
    },
    ready(on = db) {
      ready ??= readEpoch(on, namespace).then(
        (number) => {
          if (number === undefined) return
          epoch.learn(number)
          epoch.watch()
        },
        (error) => {
          ready = undefined
          throw error
        },
      )
      return ready
    },
    async opened(facts, on = db) {
      const { entity } = facts
      const found = await readDurability(on, namespace, facts)
      const known = durability.get(entity)
      // Another repository of the table may know it by more.
      if (known === found || known === 'ttl-only') return
      emit({ type: 'durability', entity, durability: found })
      durability.set(entity, found)
    },
    watermarkAgeMs() {
      const provenAtMs = watermark.leastProvenAtMs
      return Number.isFinite(provenAtMs) ? clock.monotonicMs() - provenAtMs : undefined
    },
    async bumpEpoch() {
      await this.ready()
      const number = await raiseEpoch(db, namespace, epoch.number + 1)
      return epoch.publish(number).then(
        () => 'fenced',
        // The database has it: this process and every relay tell the cache until it does, too.
        () => 'pending',
      )
    },
    table: {
      db,
      namespace,
      gate,
      flights,
      floors,
      invalidation,
      background,
      clock,
      chance,
      emit,
      onHit: onEvent,
      store: batched,
      codec,
      intervals: new IntervalClass(),
      epoch: epoch.text,
      isPending: (key) => pending.has(key) || outage.covers(key),
      watermark,
      isRelayed: (entity) => (durability.get(entity) ?? 'ttl-only') !== 'ttl-only',
      hotKeys,
      telemetry,
      calls,
      relations: new RelationDirectory({ db, clock, behind: (read) => background.run('catalog', read) }),
      replica,
      replicaLoads,
      isLive,
    },
    jobs: {
      stored: inner,
      forget(keys) {
        const changes = keys.map((key) => ({ key, version: null, absent: false, hasFloor: false }))
        for (const change of changes) invalidation.apply(change)
        announce(changes)
      },
    },
    async close() {
      // The database is not ours to close, but may be closed by whoever waits for this.
      const untilMs = clock.monotonicMs() + settings.load.hardTimeoutMs
      // A connection may be half open, and a question on it never answered. That must not keep fences from their last try.
      const inTime = (work: Promise<unknown>) =>
        endsWithinMs(clock, Math.max(LEAST_FAREWELL_MS, untilMs - clock.monotonicMs()), work)
      locks.close()
      await calls.idle(clock, settings.load.hardTimeoutMs)
      if (relay) await inTime(relay.close())
      watermark.close()
      replica?.close()
      epoch.close()
      fencer.stop()
      await inTime(background.idle())
      await pending.finish()
      await bus?.close()
      await store.close()
      telemetry.close()
    },
  }
}

function openStore({ redis, namespace, settings }: AssemblyOptions, clock: Clock): CacheStore {
  if (redis) return new RedisStore({ client: redis, namespace, clock })
  return new MemoryStore({ clock, maxBytes: settings.cache.maxInProcessBytes })
}

function openCodec({ settings, encryption }: AssemblyOptions): Envelope {
  const resolved = resolveEncryption(encryption)
  return new Envelope({ ...settings.codec, cipher: resolved && new PayloadCipher(resolved, systemBytes) })
}

function openFeed({ db, namespace, slot }: AssemblyOptions, clock: Clock, emit: EmitEvent): ChangeFeed {
  if (slot === undefined) return new OutboxFeed({ db, clock, namespace })
  return new SlotFeed({ ...slot, db, clock, namespace, emit })
}

function openChannel(client: RedisClient, namespace: string, store: CacheStore): Channel {
  const publisher = store instanceof RedisStore ? store.connection : undefined
  return new RedisChannel({ client, namespace, publisher })
}

/** A replica gets a tenth of the time that a reader waits at most: then there is time left for the primary. */
function openReplica(
  { db, settings }: AssemblyOptions,
  parts: Pick<ReplicaTrustOptions, 'clock' | 'isLive' | 'background' | 'emit'>,
): ReplicaTrust {
  const limitMs = settings.load.hardTimeoutMs / 10
  return new ReplicaTrust({ ...parts, ask: () => readSight(db), fenceMs: settings.cache.fenceMs, limitMs })
}
