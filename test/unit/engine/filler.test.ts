import { describe, expect, it } from 'vitest'
import { envelope } from '../../../src/adapters/codec/envelope.js'
import type { Entry } from '../../../src/core/entry.js'
import { SourceError } from '../../../src/core/errors.js'
import type { CacheKey } from '../../../src/core/key.js'
import { Fleet } from '../../support/fleet.js'
import { settle } from '../../support/manual-clock.js'
import { expectNothingLeft } from '../../support/nothing-left.js'
import { plainChance, seededChance } from '../../support/seeded-chance.js'

/** Each makes so many loads of its own that it knows what they take, which is less than `withinMs`. */
async function learnLoads(fleet: Fleet, processes: readonly ReturnType<Fleet['start']>[], withinMs: number) {
  for (let load = 0; load < 30; load++) {
    const readings = processes.map((process, at) => process.read(`${load} of ${at}`))
    await fleet.clock.advance(withinMs)
    await Promise.all(readings)
  }
}

async function entryOf(fleet: Fleet, key: CacheKey): Promise<Entry> {
  const [bytes] = await fleet.store.read([key])
  return envelope.open(bytes as Uint8Array) as Entry
}

describe('Filler', () => {
  expectNothingLeft()

  it('stores what it loaded, with its version, lifetime and cost', async () => {
    const fleet = new Fleet({ freshMs: 60_000 })
    const process = fleet.start()
    fleet.table.put('42', 1)
    fleet.table.slowDown(40, fleet.clock)
    for (let i = 0; i < 2; i++) {
      const reading = process.read('42')
      await fleet.clock.advance(40)
      await reading
      if (i === 0) await fleet.clock.advance(60_000)
    }
    expect(await entryOf(fleet, process.keyOf('42'))).toMatchObject({
      kind: 'row',
      version: fleet.table.row('42')?.version,
      freshMs: 59_960,
      // One measurement of 40 ms, and as long again for what is not known about their spread.
      loadMs: 80,
      snapshot: undefined,
    })
  })

  it('waits shorter for the next load once it has found a value that had long been there', async () => {
    const fleet = new Fleet({ freshMs: 600_000 })
    const [loader, waiter] = [fleet.start(), fleet.start()]
    fleet.table.slowDown(400, fleet.clock)
    for (let load = 0; load < 30; load++) {
      const reading = waiter.read(`slow ${load}`)
      await fleet.clock.advance(500)
      await reading
    }
    fleet.table.slowDown(40, fleet.clock)
    const waits: number[] = []
    for (const id of ['first', 'second']) {
      fleet.table.put(id, 1)
      const loading = loader.read(id)
      await settle()
      const waiting = waiter.read(id)
      await fleet.clock.advance(1_000)
      await Promise.all([loading, waiting])
      waits.push(waiter.events.of('coalesced').at(-1)?.waitedMs ?? 0)
    }
    expect(waits[0]).toBeGreaterThan(300)
    expect(waits[1]).toBeLessThan(100)
  })

  it('asks when the load may be done, whatever the leases of two processes last', async () => {
    const fleet = new Fleet({ freshMs: 600_000 })
    const [loader, waiter] = [fleet.start(), fleet.start()]
    fleet.table.slowDown(100, fleet.clock)
    await learnLoads(fleet, [waiter, loader], 200)
    fleet.table.failLoads(new SourceError('load', new Error('out of order')))
    const failing = waiter.read('failing').catch(() => 'failed')
    await fleet.clock.advance(200)
    expect(await failing, 'from now on leases of this process are twice as long').toBe('failed')
    fleet.table.healLoads()
    const before = waiter.cache.count('lease')
    const loading = loader.read('42')
    await settle()
    const waiting = waiter.read('42')
    await fleet.clock.advance(200)
    await Promise.all([loading, waiting])
    expect(waiter.cache.count('lease') - before, 'one finds the lease, one the row').toBe(2)
  })

  it('asks when the load may be done, however late it comes', async () => {
    const fleet = new Fleet({ freshMs: 600_000 })
    const [loader, waiter] = [fleet.start(), fleet.start()]
    fleet.table.slowDown(400, fleet.clock)
    await learnLoads(fleet, [waiter, loader], 500)
    const loading = loader.read('42')
    await fleet.clock.advance(390)
    const beganMs = fleet.clock.monotonicMs()
    const waiting = waiter.read('42').then(() => fleet.clock.monotonicMs() - beganMs)
    await fleet.clock.advance(1_000)
    expect(await waiting, '10 ms later it is there').toBeLessThan(40)
    await loading
  })

  it('asks when loads of other processes are done, though its own take another time', async () => {
    const fleet = new Fleet({ freshMs: 600_000 })
    const [loader, waiter] = [fleet.start(), fleet.start()]
    let asked = 0
    for (let load = 0; load < 30; load++) {
      const before = waiter.cache.count('lease')
      fleet.table.slowDown(100, fleet.clock)
      const loading = loader.read(`${load}`)
      await settle()
      const waiting = waiter.read(`${load}`)
      await fleet.clock.advance(200)
      await Promise.all([loading, waiting])
      asked = waiter.cache.count('lease') - before
    }
    expect(asked).toBe(2)
  })

  it('sends what it has loaded before its own readers go on: others wait for that, and not for what these do', async () => {
    const fleet = new Fleet()
    const process = fleet.start()
    const ids = ['1', '2', '3']
    for (const id of ids) fleet.table.put(id, 1)
    const sent = await Promise.all(ids.map((id) => process.read(id).then(() => process.cache.count('fill'))))
    expect(sent, 'what one statement loaded, together').toEqual([1, 1, 1])
  })

  it('stores an absence with the snapshot that saw it, for its own lifetime', async () => {
    const fleet = new Fleet({ absentMs: 7_000 })
    const process = fleet.start()
    await process.read('42')
    await settle()
    const entry = await entryOf(fleet, process.keyOf('42'))
    expect(entry).toMatchObject({ kind: 'absent', version: undefined, freshMs: 7_000 })
    expect(entry.snapshot).toMatch(/^\d+:\d+:$/)
    await fleet.clock.advance(7_000)
    expect(await fleet.store.read([process.keyOf('42')])).toEqual([null])
  })

  it('is told of once when a load fails and the cache is not to be told that either', async () => {
    const fleet = new Fleet()
    const process = fleet.start()
    fleet.table.failLoads(new Error('down'))
    process.cache.breakNext('release', 'fail')
    await expect(process.read('42')).rejects.toThrow('down')
    await settle()
    expect(process.events.of('load')).toHaveLength(1)
    expect(process.events.count('background.failed')).toBe(0)
  })

  it('gives entries that were filled together different lifetimes', async () => {
    const fleet = new Fleet({
      freshMs: 10_000,
      fill: { jitter: 0.2, graceMs: 0, lease: { minMs: 200, maxMs: 5_000, waitMs: 5_000 } },
    })
    const process = fleet.start({}, seededChance(1))
    const ids = Array.from({ length: 40 }, (_, at) => String(at))
    for (const id of ids) fleet.table.put(id, 1)
    await Promise.all(ids.map((id) => process.read(id)))
    await settle()
    const lives = await Promise.all(ids.map(async (id) => (await entryOf(fleet, process.keyOf(id))).freshMs))
    expect(Math.max(...lives)).toBeLessThanOrEqual(10_000)
    expect(Math.min(...lives)).toBeGreaterThan(8_000)
    expect(new Set(lives).size).toBeGreaterThan(30)
  })

  it('lets a lookup point to another row, also one whose own stamp is lower', async () => {
    const graceMs = 60_000
    const fleet = new Fleet({
      kind: 'lookup',
      freshMs: 1_000,
      read: { graceMs, beta: 0, maxEarliness: 0.25, softTimeoutMs: 100, hardTimeoutMs: 10_000 },
      fill: { jitter: 0, graceMs, lease: { minMs: 200, maxMs: 5_000, waitMs: 5_000 } },
    })
    const [process, other] = [fleet.start(), fleet.start()]
    fleet.table.put('slug', 1)
    const lower = fleet.table.position()
    fleet.table.put('slug', 2)
    await process.read('slug')
    await fleet.clock.advance(1_000)
    fleet.table.restore(lower)
    expect((await process.read('slug'))?.price).toBe(1)
    await settle()
    expect((await other.read('slug'))?.price).toBe(1)
    expect(process.events.of('fill').map(({ outcome }) => outcome)).toEqual(['filled', 'filled'])
  })

  it('answers and gives its lease back when a row cannot be cached', async () => {
    const fleet = new Fleet()
    const [process, other] = [fleet.start(), fleet.start()]
    fleet.table.put('42', Number.NaN)
    for (const reader of [process, other, process]) {
      expect(await reader.read('42'), 'at once, without waiting for a lease').toMatchObject({ price: Number.NaN })
      await settle()
    }
    expect(process.events.of('entry.uncacheable')).toHaveLength(2)
    expect(process.events.of('fill')[0]).toMatchObject({ outcome: 'uncacheable' })
  })

  it('answers and gives its lease back when the lifetime of a row cannot be told', async () => {
    const fleet = new Fleet({
      freshMs: () => {
        throw new Error('no such category')
      },
    })
    const [process, other] = [fleet.start(), fleet.start()]
    fleet.table.put('42', 1)
    for (const reader of [process, other]) {
      expect((await reader.read('42'))?.price, 'at once, without waiting for a lease').toBe(1)
      await settle()
    }
    expect(process.events.of('background.failed')).toMatchObject([{ task: 'fill' }])
  })

  it('asks for a lease that others wait for in vain only as long as a load may take', async () => {
    const fleet = new Fleet()
    const [process, other] = [fleet.start(), fleet.start()]
    fleet.table.put('42', 1)
    fleet.table.slowDown(100, fleet.clock)
    for (const expected of [3_000, 450]) {
      const reading = process.read('42')
      await settle()
      const { lease } = await fleet.store.inspect(process.keyOf('42'))
      // At first a load is taken to cost a second; the lease lasts three times its cost.
      expect(lease?.remainingMs).toBe(expected === 450 ? 600 : expected)
      await fleet.clock.advance(100)
      await reading
      await other.remove('42')
      fleet.table.put('42', 2)
    }
  })

  it('does not poll more often than a waiting reader needs', async () => {
    const fleet = new Fleet()
    const [holder, waiter] = [fleet.start(), fleet.start()]
    fleet.table.put('42', 1)
    fleet.table.slowDown(1_000, fleet.clock)
    const readings = [holder.read('42'), waiter.read('42')]
    await fleet.clock.advance(2_000)
    await Promise.all(readings)
    expect(waiter.cache.count('lease')).toBeLessThan(45)
    expect(fleet.table.loads).toHaveLength(1)
  })

  it('stops competing for an entry that changes under every request, and just loads', async () => {
    const fleet = new Fleet({ freshMs: 10 })
    const process = fleet.start({}, plainChance())
    fleet.table.put('42', 1)
    const key = process.keyOf('42')
    const reading = process.read('42')
    for (let i = 0; i < 9; i++) {
      const pause = process.cache.pause('before lease')
      await Promise.race([pause.reached, reading])
      const expired = { shape: '1f0c3a7e', snapshot: undefined, freshMs: 1, loadMs: 1, epoch: '00000000' }
      const payload = Buffer.from(String(i))
      await fleet.plant(key, envelope.seal({ kind: 'row', version: '1' as never, ...expired, payload }))
      await fleet.clock.advance(1)
      pause.resume()
      await settle()
    }
    expect((await reading)?.price).toBe(1)
  })

  describe('whose request for a lease is not answered in time', () => {
    it('goes on waiting for the load that it waits for: late is not gone', async () => {
      const fleet = new Fleet()
      const [holder, waiter] = [fleet.start(), fleet.start()]
      fleet.table.put('42', 1)
      fleet.table.slowDown(100, fleet.clock)
      const readings = [holder.read('42'), waiter.read('42')]
      await fleet.clock.advance(20)
      waiter.cache.breakNext('lease', 'hang')
      await fleet.clock.advance(500)
      expect((await Promise.all(readings)).map((row) => row?.price)).toEqual([1, 1])
      expect(fleet.table.loads).toHaveLength(1)
      expect(waiter.events.of('cache.unavailable')).toHaveLength(1)
      expect(waiter.events.of('coalesced').at(-1)?.scope).toBe('fleet')
    })

    it('takes over from a holder that died, however late it hears of it', async () => {
      const fleet = new Fleet()
      const [waiter, other] = [fleet.start(), fleet.start()]
      fleet.table.put('42', 1)
      await fleet.holdLease(waiter.keyOf('42'), 30)
      const reading = waiter.read('42')
      await fleet.clock.advance(20)
      waiter.cache.breakNext('lease', 'hang')
      await fleet.clock.advance(100)
      expect((await reading)?.price).toBe(1)
      await settle()
      await other.read('42')
      expect(fleet.table.loads, 'the other finds what was stored under the lease').toHaveLength(1)
    })

    it('loads without one where it has waited for nobody', async () => {
      const fleet = new Fleet()
      const process = fleet.start()
      fleet.table.put('42', 1)
      process.cache.breakNext('lease', 'hang')
      const reading = process.read('42')
      await fleet.clock.advance(50)
      expect((await reading)?.price).toBe(1)
      expect(process.cache.count('lease')).toBe(1)
    })

    it('loads without one after two in a row', async () => {
      const fleet = new Fleet()
      const [holder, waiter] = [fleet.start(), fleet.start()]
      fleet.table.put('42', 1)
      fleet.table.slowDown(400, fleet.clock)
      const loading = holder.read('42')
      const waiting = waiter.read('42')
      await fleet.clock.advance(20)
      waiter.cache.breakNext('lease', 'hang')
      waiter.cache.breakNext('lease', 'hang')
      await fleet.clock.advance(150)
      expect(fleet.table.loads, 'two deadlines and a pause at most').toHaveLength(2)
      await fleet.clock.advance(1_000)
      await Promise.all([loading, waiting])
    })

    it('has two more after one that was answered', async () => {
      const fleet = new Fleet()
      const [holder, waiter] = [fleet.start(), fleet.start()]
      fleet.table.put('42', 1)
      fleet.table.slowDown(400, fleet.clock)
      const readings = [holder.read('42'), waiter.read('42')]
      for (let time = 0; time < 2; time++) {
        await fleet.clock.advance(20)
        waiter.cache.breakNext('lease', 'hang')
        await fleet.clock.advance(100)
      }
      await fleet.clock.advance(1_000)
      await Promise.all(readings)
      expect(waiter.events.of('cache.unavailable')).toHaveLength(2)
      expect(fleet.table.loads).toHaveLength(1)
    })

    it('lets nobody wait for a lease that was granted, and only the answer was late', async () => {
      const fleet = new Fleet()
      const [late, other] = [fleet.start(), fleet.start()]
      fleet.table.put('42', 1)
      fleet.table.slowDown(10, fleet.clock)
      late.cache.breakNext('lease', { delayMs: 60 })
      const reading = late.read('42')
      await fleet.clock.advance(100)
      const beganMs = fleet.clock.monotonicMs()
      const took = other.read('42').then(() => fleet.clock.monotonicMs() - beganMs)
      await fleet.clock.advance(1_000)
      expect((await reading)?.price).toBe(1)
      expect(await took, "its own load, and no lease that is nobody's").toBeLessThan(20)
    })
  })
})
