import { Buffer } from 'node:buffer'
import { envelope } from '../../../src/adapters/codec/envelope.js'
import { MemoryLockHints } from '../../../src/adapters/memory/lock-hints.js'
import { MemoryStore } from '../../../src/adapters/memory/memory-store.js'
import { RedisLockHints } from '../../../src/adapters/redis/lock-hints.js'
import type { RedisStore } from '../../../src/adapters/redis/redis-store.js'
import type { CacheKey } from '../../../src/core/key.js'
import type { CacheStore, FenceRequest, StoredBytes } from '../../../src/core/ports.js'
import type { Version } from '../../../src/core/version.js'
import { filledAtMs, newEntry, snapshotFrom } from '../../contract/store-lab.js'
import { RedisServer } from '../../simulation/redis/server.js'
import { ManualClock, settle } from '../../support/manual-clock.js'
import { Draw } from '../draw.js'
import { Story } from '../story.js'
import type { Keys } from './keys.js'
import type { RealRedis } from './real-redis.js'
import { told, toldLease, toldState } from './told.js'

const STEPS = 80
/** Time passes in steps of 20 s, and nothing lasts a multiple of that: the real server's own time, which goes on meanwhile, decides nothing. */
const STEPS_MS = [20_000, 40_000]
const KEEPS_MS = [10_000, 30_000, 50_000.5]
/** A guard is kept four times as long. */
const LEASES_MS = [7_500, 12_500, 27_500]
const VERSIONS = ['1', '2', '9', '10', '9007199254740992', '9007199254740993', '9223372036854775807'] as Version[]
const TOKENS = ['a', 'b', 'c']
const XIDS = ['7', '8', '100', '9007199254740993', ...Array.from({ length: 16 }, (_, nth) => String(20 + nth))]
const XMINS = [7, 8, 9, 24, 30, 101]
const HOLDERS = ['x', 'y']
/** What somebody else may have put there; none of it is an entry. */
const FOREIGN = ['?', 'C1', `C1${'9'.repeat(40)}`, `C1${'0'.repeat(13)}${'f'.repeat(8)}rj${'9'.repeat(60)}`]
/** Fill times are told to the millisecond by two clocks. */
const CLOCKS_MS = 4_000

/** What can be asked, and how often. */
const ACTS = {
  ...{ read: 6, lease: 18, fill: 18, release: 5, fence: 14, fences: 3, mark: 4, unmark: 2, foreign: 2, wrongType: 1 },
  ...{ inspect: 4, pass: 5, evictEntry: 3, evictGuard: 3, tick: 2, look: 1, scan: 1 },
  ...{ take: 2, renew: 2, letGo: 2 },
} as const
type Act = keyof typeof ACTS

/** Both sides, real and model. */
type Both<Value> = readonly [real: Value, model: Value]

/** One run. */
export class Walk {
  readonly #draw: Draw
  readonly #keys: Keys
  readonly #all: readonly CacheKey[]
  readonly #real: RealRedis
  readonly #store: RedisStore
  readonly #clock = new ManualClock()
  readonly #server = new RedisServer(this.#clock, 'model')
  /** For what is of the server as a whole. */
  readonly #memory = new MemoryStore({ clock: this.#clock, maxBytes: 1_000_000 })
  readonly #hints: Both<MemoryLockHints | RedisLockHints>
  readonly #story = new Story()
  /** What was read of a key at some time. */
  readonly #earlier = new Map<CacheKey, Both<StoredBytes | null>>()
  readonly #wrongTypes = new Set<CacheKey>()
  /** Who was last given a lease, by key. */
  readonly #leased = new Map<CacheKey, string>()
  #texts = 0

  constructor(seed: number, keys: Keys, real: RealRedis, store: RedisStore, namespace: string) {
    this.#draw = new Draw(seed)
    this.#keys = keys
    this.#all = [...keys.entries, keys.mark]
    this.#real = real
    this.#store = store
    this.#hints = [new RedisLockHints(store.connection, namespace), new MemoryLockHints(this.#clock)]
  }

  async run(): Promise<Story> {
    const story = this.#story
    try {
      for (let step = 0; step < STEPS && story.difference === undefined; step++)
        await this.#act(this.#draw.weighted(ACTS))
      for (const key of this.#all) if (story.difference === undefined) await this.#inspect(key)
    } catch (error) {
      story.differs(String((error as Error).stack ?? error))
    }
    return story
  }

  #act(act: Act): Promise<void> {
    const key = this.#key(act)
    switch (act) {
      case 'read':
        return this.#read(this.#draw.happens(0.5) ? [key] : this.#all)
      case 'lease':
        return this.#lease(key)
      case 'fill':
        return this.#fill(key)
      case 'release': {
        const request = { key, token: this.#holder(key), failure: this.#draw.pick([null, '57014', 'UNKNOWN']) }
        return this.#ask('release', request, async (store) => String(await store.release([request])))
      }
      case 'fence':
        return this.#fence(key)
      case 'fences':
        return this.#fenceMany()
      case 'mark':
        return this.#mark(this.#keys.mark, this.#draw.pick(TOKENS))
      case 'unmark': {
        const request = { key: this.#keys.mark, version: null, xid: this.#draw.pick(XIDS), replacement: null }
        const common = { keepMs: this.#draw.pick(KEEPS_MS), rememberAlways: this.#draw.happens(0.5) }
        return this.#ask('fence', request, async (store) => String(await store.fence([{ ...request, ...common }])))
      }
      case 'foreign':
        return this.#mark(key, this.#draw.pick(FOREIGN))
      case 'wrongType':
        return this.#putWrongType(key)
      case 'inspect':
        return this.#inspect(this.#draw.pick(this.#all))
      case 'pass':
        return this.#pass()
      case 'evictEntry':
      case 'evictGuard':
        return this.#evict(act, this.#draw.pick(this.#all))
      case 'tick':
      case 'look':
        return this.#tick(act)
      case 'scan':
        return this.#scan()
      default:
        return this.#lock(act)
    }
  }

  /** To be filled mostly one that is leased. */
  #key(act: Act): CacheKey {
    const leased = [...this.#leased.keys()]
    const isForHolder = act === 'fill' && leased.length > 0 && this.#draw.happens(0.7)
    return this.#draw.pick(isForHolder ? leased : this.#keys.entries)
  }

  async #read(keys: readonly CacheKey[]): Promise<void> {
    const found: (StoredBytes | null)[][] = []
    await this.#ask('read', { keys }, async (store, side) => {
      found[side] = await this.#readAll(store, side, keys)
      return found[side].map(told).join(' | ')
    })
    keys.forEach((key, at) => {
      const both = found.map((side) => side[at] as StoredBytes | null)
      this.#earlier.set(key, both as unknown as Both<StoredBytes | null>)
    })
  }

  /** The model has a store for each key. */
  async #readAll(store: CacheStore, side: number, keys: readonly CacheKey[]): Promise<(StoredBytes | null)[]> {
    if (side === 0) return store.read(keys)
    return Promise.all(keys.map((key) => this.#server.run(key, async (each) => (await each.read([key]))[0] ?? null)))
  }

  async #lease(key: CacheKey): Promise<void> {
    const seen = this.#draw.weighted({ current: 6, nothing: 1, earlier: 1, other: 1 })
    const waitedFor = this.#draw.pick([null, ...TOKENS])
    const request = { key, token: this.#draw.pick(TOKENS), leaseMs: this.#draw.pick(LEASES_MS), waitedFor }
    const earlier = this.#earlier.get(key) ?? [null, null]
    await this.#ask('lease', { ...request, seen }, async (store, side) => {
      const [current = null] = await store.read([key])
      const bytes = { current, nothing: null, earlier: earlier[side] ?? null, other: Buffer.from('something else') }
      const [reply] = await store.lease([{ ...request, seen: bytes[seen] }])
      if (reply?.outcome === 'leased') this.#leased.set(key, request.token)
      return toldLease(reply)
    })
  }

  /** Mostly whoever has the lease. */
  #holder(key: CacheKey): string {
    return this.#draw.happens(0.7) ? (this.#leased.get(key) ?? 'a') : this.#draw.pick(TOKENS)
  }

  async #fill(key: CacheKey): Promise<void> {
    const kind = this.#draw.pick(['row', 'row', 'absent', 'lookup'] as const)
    const version = kind === 'absent' ? undefined : this.#draw.pick(VERSIONS)
    const text = kind === 'absent' ? '' : `text ${this.#texts}`
    const loadedFrom = this.#draw.pick(['primary', 'primary', 'standby'] as const)
    const inMs = loadedFrom === 'standby' ? this.#draw.pick([undefined, -10_000, 10_000]) : undefined
    const request = {
      ...{ key, token: this.#holder(key), version, snapshot: snapshotFrom(this.#draw.pick(XMINS)), loadedFrom },
      ...{ keepMs: this.#draw.pick(KEEPS_MS), replacesNewer: this.#draw.happens(0.2) },
    }
    // No two are alike: the model's clock stands still, and would fill both at one moment.
    const sealed = envelope.seal({ ...newEntry(kind, version, text), loadMs: ++this.#texts })
    await this.#ask('fill', { ...request, kind, text, inMs }, async (store, side) => {
      const nowMs = side === 0 ? this.#store.nowMs() : store.nowMs()
      const until = inMs === undefined ? {} : { untilMs: nowMs + inMs }
      const [outcome] = await store.fill([{ ...request, sealed, ...until }])
      this.#leased.delete(key)
      if (outcome !== 'filled') return String(outcome)
      const [bytes] = await store.read([key])
      return `filled ${bytes && Math.abs(filledAtMs(bytes) - nowMs) < CLOCKS_MS ? 'now' : 'at another time'}`
    })
  }

  async #fence(key: CacheKey): Promise<void> {
    const request = this.#fenceOf(key)
    await this.#ask('fence', toldFence(request), async (store) => String(await store.fence([request])))
  }

  /** What a write makes old, together; and more transactions than a guard has room for. */
  async #fenceMany(): Promise<void> {
    const [one] = this.#keys.entries as [CacheKey]
    const requests = Array.from({ length: 2 + this.#draw.below(22) }, () =>
      this.#fenceOf(this.#draw.happens(0.7) ? one : this.#draw.pick(this.#all)),
    )
    await this.#both('fences', { requests: requests.map(toldFence) }, async (side) => {
      if (side === 0) return String(await this.#store.fence(requests))
      const outcomes = requests.map((request) => this.#server.run(request.key, (store) => store.fence([request])))
      return String(await Promise.all(outcomes))
    })
  }

  #fenceOf(key: CacheKey): FenceRequest {
    const version = this.#draw.pick([null, ...VERSIONS])
    const isPublished = version !== null && this.#draw.happens(0.5)
    const sealed = isPublished && envelope.seal({ ...newEntry('row', version, 'published'), loadMs: ++this.#texts })
    return {
      ...{ key, version, xid: this.#draw.pick([null, ...XIDS]), keepMs: this.#draw.pick(KEEPS_MS) },
      rememberAlways: this.#draw.happens(0.5),
      replacement: sealed ? { sealed, keepMs: this.#draw.pick(KEEPS_MS) } : null,
    }
  }

  #mark(key: CacheKey, fresh: string): Promise<void> {
    const request = { key, fresh, keepMs: this.#draw.pick(KEEPS_MS) }
    return this.#ask('mark', request, async (store) => told(Buffer.from(String(await store.mark([request])), 'latin1')))
  }

  /** To Corral, what is no string is not there. */
  async #putWrongType(key: CacheKey): Promise<void> {
    this.#tell(`a list lies under ${key}`)
    this.#server.evictEntry(key)
    await Promise.all([settle(), this.#real.putList(key)])
    this.#wrongTypes.add(key)
  }

  #inspect(key: CacheKey): Promise<void> {
    return this.#ask('inspect', { key }, async (store) => toldState(await store.inspect(key)))
  }

  async #pass(): Promise<void> {
    const ms = this.#draw.pick(STEPS_MS)
    this.#tell(`${ms} ms pass`)
    await Promise.all([this.#clock.advance(ms), this.#real.pass(ms)])
  }

  async #evict(what: 'evictEntry' | 'evictGuard', key: CacheKey): Promise<void> {
    this.#tell(`${what} ${key}`)
    this.#server[what](key)
    await Promise.all([settle(), this.#real[what](key)])
  }

  /** Written only where the server is still the one that is meant. */
  async #tick(act: 'tick' | 'look'): Promise<void> {
    const text = `tick ${this.#texts++}`
    const isMeant = this.#draw.happens(0.7)
    await this.#both(act, { text, isMeant }, async (side) => {
      const { shards } = side === 0 ? this.#store : this.#memory
      const [shard = ''] = shards.list()
      const { server, tick } = await shards.look(shard)
      if (act === 'look') return String(tick)
      const after = await shards.tick(shard, text, isMeant ? server : 'another')
      return `${after.server === server} ${after.tick}`
    })
  }

  async #scan(): Promise<void> {
    await this.#both('scan', {}, async (side) => {
      const held = side === 0 ? await this.#scanReal() : await this.#heldByModel()
      return [...held].sort().join(' ')
    })
  }

  /** What is of another type is told too: whoever walks the keys reads them, and finds nothing. */
  async #scanReal(): Promise<Set<string>> {
    const found = new Set<string>()
    let cursor: string | null = null
    do {
      const page = await this.#store.shards.scan('redis', cursor, 1_000)
      for (const key of page.keys) if (this.#all.includes(key)) found.add(key)
      cursor = page.next
    } while (cursor !== null)
    for (const key of this.#wrongTypes) {
      const [bytes] = await this.#store.read([key])
      if (bytes === null) found.delete(key)
    }
    return found
  }

  async #heldByModel(): Promise<Set<string>> {
    const read = await this.#readAll(this.#memory, 1, this.#server.keys)
    return new Set(this.#server.keys.filter((_, at) => read[at] !== null))
  }

  #lock(act: 'take' | 'renew' | 'letGo'): Promise<void> {
    const [name, holder, ttlMs] = [
      this.#draw.pick(['1', '2']),
      this.#draw.pick(HOLDERS),
      Math.floor(this.#draw.pick(KEEPS_MS)),
    ]
    return this.#both(act, { name, holder, ttlMs }, async (side) => {
      const hints = this.#hints[side] as RedisLockHints
      if (act === 'letGo') return String(await hints.release(name, holder))
      return String(await hints[act](name, holder, ttlMs))
    })
  }

  /** One call on the store of a key. */
  #ask(what: string, request: Told, act: (store: CacheStore, side: 0 | 1) => Promise<string>): Promise<void> {
    const key = request.key ?? (request.keys?.[0] as CacheKey)
    return this.#both(what, request, (side) =>
      side === 0 ? act(this.#store, 0) : this.#server.run(key, (store) => act(store, 1)),
    )
  }

  async #both(what: string, request: object, act: (side: 0 | 1) => Promise<string>): Promise<void> {
    this.#story.calls++
    const [theirs, ours] = await Promise.all([act(0), act(1)])
    this.#story.tell('both', `${what} ${JSON.stringify(request)} -> ${theirs}`)
    this.#story.witness(`${what} ${/^[a-z-]+/.exec(theirs)?.[0] ?? ''}`.trim())
    if (theirs !== ours) this.#story.differs(`${what}: Redis says ${theirs}, the model says ${ours}`)
  }

  #tell(what: string): void {
    this.#story.calls++
    this.#story.tell('fate', what)
  }
}

/** A request as a story tells it. */
interface Told {
  readonly key?: CacheKey
  readonly keys?: readonly CacheKey[]
  readonly [more: string]: unknown
}

function toldFence({ replacement, ...request }: FenceRequest): Told {
  return { ...request, isPublished: replacement !== null }
}
