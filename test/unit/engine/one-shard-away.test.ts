import { describe, expect, it } from 'vitest'
import type { CacheKey } from '../../../src/core/key.js'
import type { CacheStore, FillRequest, StoredBytes } from '../../../src/core/ports.js'
import { Background } from '../../../src/engine/background.js'
import { BatchedStore } from '../../../src/engine/batched-store.js'
import { Fencer } from '../../../src/engine/fencer.js'
import { Floors } from '../../../src/engine/floors.js'
import { GuardedStore } from '../../../src/engine/guarded-store.js'
import { Invalidation } from '../../../src/engine/invalidation.js'
import { Outage } from '../../../src/engine/outage.js'
import { PendingFences } from '../../../src/engine/pending-fences.js'
import { ShardBreakers } from '../../../src/engine/shard-breakers.js'
import { Singleflight } from '../../../src/engine/singleflight.js'
import { ManualClock, settle } from '../../support/manual-clock.js'
import { Recorder } from '../../support/recorder.js'
import { type ShardedMemory, ShardedServers } from '../../support/sharded-memory.js'

/** Keys by the shard they lie on, which is a matter of the last digit. */
const ON = {
  a: 'shop:{public.products/10}' as CacheKey,
  b: 'shop:{public.products/1}' as CacheKey,
  c: 'shop:{public.products/2}' as CacheKey,
}
const KEYS = Object.values(ON)
const NAMES = ['a', 'b', 'c']

/** A store whose frozen shards never answer, as those of a server that is stopped and not dead. */
class FreezableStore {
  readonly frozen = new Set<string>()
  /** The keys of each read that was sent. */
  readonly reads: (readonly CacheKey[])[] = []
  names: readonly string[] = NAMES
  readonly #memory: ShardedMemory

  constructor(memory: ShardedMemory) {
    this.#memory = memory
  }

  open(): CacheStore {
    const memory = this.#memory
    const freeze = <Request, Reply>(
      requests: readonly Request[],
      act: () => Promise<Reply>,
      keyOf: (r: Request) => CacheKey,
    ) =>
      requests.some((request) => this.frozen.has(memory.shards.of(keyOf(request))))
        ? new Promise<Reply>(() => {})
        : act()
    const ofKey = ({ key }: { readonly key: CacheKey }) => key
    return {
      read: (keys) => {
        this.reads.push(keys)
        return freeze(
          keys,
          () => memory.read(keys),
          (key) => key,
        )
      },
      lease: (requests) => freeze(requests, () => memory.lease(requests), ofKey),
      fill: (requests) => freeze(requests, () => memory.fill(requests), ofKey),
      release: (requests) => freeze(requests, () => memory.release(requests), ofKey),
      fence: (requests) => freeze(requests, () => memory.fence(requests), ofKey),
      mark: (requests) => freeze(requests, () => memory.mark(requests), ofKey),
      inspect: (key) => memory.inspect(key),
      nowMs: () => memory.nowMs(),
      close: () => memory.close(),
      shards: { ...memory.shards, list: () => this.names },
    }
  }
}

function open() {
  const clock = new ManualClock()
  const events = new Recorder()
  const servers = new ShardedServers(clock, NAMES)
  const cache = new FreezableStore(servers.connect())
  const inner = cache.open()
  const vanished: string[] = []
  const breakers = new ShardBreakers({
    ...{ shards: inner.shards, clock, failures: 3, probeMs: 100 },
    onChange: (shard, state) => events.emit({ type: 'breaker', shard, state }),
    onVanish: (shard) => vanished.push(shard),
  })
  const limits = { deadlineMs: 50, fenceDeadlineMs: 200, giveUpMs: 50 }
  const store = new GuardedStore({ store: inner, clock, breakers, limits, emit: events.emit })
  const batched = new BatchedStore(store, clock)
  const states = () => events.of('breaker').map(({ shard, state }) => `${shard} ${state}`)
  return { clock, events, servers, cache, inner, store, breakers, batched, vanished, states }
}

/** What a promise has come to by now. */
async function soFar<Value>(promise: Promise<Value>): Promise<Value | 'waits' | 'failed'> {
  await settle()
  return Promise.race([
    promise.catch(() => 'failed' as const),
    Promise.resolve('waits' as const)
      .then(settle)
      .then(() => 'waits' as const),
  ])
}

async function fillAll(store: GuardedStore) {
  for (const key of KEYS) {
    await store.lease([{ key, token: 't', leaseMs: 1_000, seen: null, waitedFor: null }])
    await store.fill([fillOf(key)])
  }
}

function fillOf(key: CacheKey): FillRequest {
  const sealed = Buffer.from(`entry of ${key}`)
  return {
    key,
    token: 't',
    sealed,
    version: undefined,
    keepMs: 60_000,
    loadedFrom: 'primary',
    snapshot: '1:1:',
    replacesNewer: false,
  }
}

const text = (bytes: StoredBytes | null | string) =>
  bytes === null || typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString()

describe('a shard that does not answer', () => {
  it('keeps no read of another one waiting, and its own no longer than the deadline', async () => {
    const { clock, cache, store, batched } = open()
    await fillAll(store)
    cache.frozen.add('b')
    cache.reads.length = 0
    const [a, b, c] = [batched.read(ON.a), batched.read(ON.b), batched.read(ON.c)]
    b.catch(() => {})
    await clock.advance(0)
    expect(text(await soFar(a))).toContain('/10')
    expect(text(await soFar(c))).toContain('/2')
    expect(await soFar(b)).toBe('waits')
    await clock.advance(50)
    expect(await soFar(b)).toBe('failed')
    expect(cache.reads, 'one round trip a shard').toEqual([[ON.a], [ON.b], [ON.c]])
  })

  it('opens its own breaker only, and each shard is probed on its own', async () => {
    const { clock, cache, store, states, batched } = open()
    await fillAll(store)
    cache.frozen.add('b')
    for (let i = 0; i < 3; i++) {
      const read = batched.read(ON.b).catch(() => 'failed')
      await clock.advance(50)
      expect(await read).toBe('failed')
    }
    expect(states()).toEqual(['b open'])
    expect(store.breakerState, 'the worst of them').toBe('open')
    const [a, b] = [batched.read(ON.a), batched.read(ON.b).catch(() => 'failed')]
    await clock.advance(0)
    expect(text(await soFar(a))).toContain('/10')
    expect(await soFar(b), 'without waiting').toBe('failed')

    await clock.advance(100)
    const probe = batched.read(ON.b).catch(() => 'failed')
    const others = [batched.read(ON.a), batched.read(ON.c)]
    await clock.advance(0)
    expect(states().at(-1)).toBe('b half-open')
    for (const other of others) expect(text(await soFar(other))).toContain('entry')
    await clock.advance(50)
    expect(await probe).toBe('failed')
    cache.frozen.clear()
    await clock.advance(200)
    const back = batched.read(ON.b)
    await clock.advance(0)
    expect(text(await back)).toContain('/1')
    expect(states()).toEqual(['b open', 'b half-open', 'b open', 'b half-open', 'b closed'])
    expect(store.breakerState).toBe('closed')
  })

  it('fails only its own leases and fills', async () => {
    const { clock, cache, batched } = open()
    cache.frozen.add('b')
    const lease = (key: CacheKey) => batched.lease({ key, token: 't', leaseMs: 1_000, seen: null, waitedFor: null })
    const leases = [ON.a, ON.b, ON.c].map((key) =>
      lease(key).then(
        ({ outcome }) => outcome,
        () => 'failed',
      ),
    )
    await clock.advance(50)
    expect(await Promise.all(leases)).toEqual(['leased', 'failed', 'leased'])
    const fills = [ON.a, ON.b, ON.c].map((key) => batched.fill(fillOf(key)).catch(() => 'failed'))
    await clock.advance(50)
    expect(await Promise.all(fills)).toEqual(['filled', 'failed', 'filled'])
  })

  it('is forgotten when it is none any more', async () => {
    const { clock, cache, store, vanished } = open()
    cache.frozen.add('b')
    for (let i = 0; i < 3; i++) void store.read([ON.b]).catch(() => {})
    await clock.advance(50)
    expect(store.breakerState).toBe('open')
    cache.names = ['a', 'c', 'd']
    expect(store.breakerState).toBe('closed')
    expect(vanished).toEqual(['b'])
  })
})

describe('a write to keys of which one is on a shard that does not answer', () => {
  function openFencer() {
    const opened = open()
    const { clock, store, inner, events } = opened
    const parts = { clock, emit: events.emit, shardOf: inner.shards.of, announce: () => {} }
    const pending = new PendingFences({ ...parts, store, maxKeys: 10_000 })
    const invalidation = new Invalidation({ floors: new Floors(100), flights: new Singleflight() })
    const copy = (key: CacheKey) => (key === ON.b ? ['shop:{public.products/1:slot0.2}' as CacheKey] : [])
    const fencer = new Fencer({
      ...{ ...parts, store, pending, invalidation, keepMs: 1_000, copiesOf: copy },
      background: new Background(events.emit),
    })
    return { ...opened, pending, fencer, copy }
  }

  it('fences the others, and that one with its copies when it answers again', async () => {
    const { clock, cache, store, pending, fencer, copy } = openFencer()
    await fillAll(store)
    cache.frozen.add('b')
    const changes = KEYS.map((key) => ({ key, version: null, xid: null, absent: false, hasFloor: false }))
    const written = fencer.afterCommit(changes)
    await clock.advance(0)
    expect(await soFar(store.read([ON.a, ON.c])), 'at once').toEqual([null, null])
    await clock.advance(200)
    expect(await written).toBe('pending')
    expect([...KEYS, ...copy(ON.b)].filter(pending.has)).toEqual([ON.b, ...copy(ON.b)])
    cache.frozen.clear()
    await clock.advance(2_000)
    expect(pending.size).toBe(0)
    expect(await store.read(KEYS)).toEqual([null, null, null])
  })

  it('waits for it once, however many fences there are', async () => {
    const { clock, cache, fencer, pending, inner } = openFencer()
    cache.frozen.add('b')
    const keys = Array.from({ length: 3_000 }, (_, at) => `shop:{public.products/${at}}` as CacheKey)
    const changes = keys.map((key) => ({ key, version: null, xid: null, absent: false, hasFloor: false }))
    const written = fencer.afterCommit(changes)
    await clock.advance(200)
    expect(await soFar(written)).toBe('pending')
    expect(keys.filter(pending.has)).toEqual(keys.filter((key) => inner.shards.of(key) === 'b'))
  })
})

describe('the outage of a shard', () => {
  const proof = { watch: () => {}, hasTicks: true as boolean | undefined, movedAtMs: 0 }

  function openOutage() {
    const clock = new ManualClock()
    const events = new Recorder()
    const { shards } = new ShardedServers(clock, NAMES).connect()
    let names: readonly string[] = NAMES
    let owner = (key: CacheKey) => shards.of(key)
    let provenAtMs = Number.NEGATIVE_INFINITY
    const outage = new Outage({
      clock,
      shards: { list: () => names, of: (key) => owner(key) },
      watermark: { ...proof, provenAtMs: () => provenAtMs },
      emit: events.emit,
    })
    const failOver = () => {
      names = ['a', 'b2', 'c']
      owner = (key) => (shards.of(key) === 'b' ? 'b2' : shards.of(key))
    }
    const prove = () => {
      provenAtMs = clock.monotonicMs()
    }
    return { clock, outage, events, failOver, prove }
  }

  it('leaves the keys of the others alone, and ends when the relay has passed it there', async () => {
    const { outage, prove, events } = openOutage()
    outage.note('b', 'open')
    outage.note('b', 'half-open')
    outage.note('b', 'closed')
    expect(KEYS.map(outage.covers)).toEqual([false, true, false])
    prove()
    expect(KEYS.map(outage.covers)).toEqual([false, false, false])
    expect(events.of('outage').map(({ shard, state }) => `${shard} ${state}`)).toEqual(['b awaits-relay', 'b passed'])
  })

  it('goes on under the name of the replica that has taken over', () => {
    const { outage, failOver } = openOutage()
    outage.note('b', 'open')
    failOver()
    outage.vanished('b')
    expect(KEYS.map(outage.covers)).toEqual([false, true, false])
  })

  it('covers all shards where nobody can say which took its keys', () => {
    const { outage } = openOutage()
    outage.note('gone', 'open')
    outage.vanished('gone')
    expect(KEYS.map(outage.covers)).toEqual([true, true, true])
  })
})
