import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { envelope } from '../../src/adapters/codec/envelope.js'
import { MemoryStore } from '../../src/adapters/memory/memory-store.js'
import type { CacheKey } from '../../src/core/key.js'
import { ManualClock } from '../support/manual-clock.js'
import { storeContract } from './store.contract.js'
import { KeyLab, newEntry, type StoreUnderTest } from './store-lab.js'

const MAX_BYTES = 100_000
const MAX_GUARDS = 10

function open(clock = new ManualClock()): StoreUnderTest {
  const store = new MemoryStore({ clock, maxBytes: MAX_BYTES, maxGuards: MAX_GUARDS })
  let keys = 0
  const newKey = () => `t:{${++keys}}` as CacheKey
  const leaseOf = (key: CacheKey, token: string) => ({ key, token, leaseMs: 1, seen: null, waitedFor: null })
  return {
    store,
    newKey,
    pass: (ms) => clock.advance(ms),
    // Eviction cannot be asked for, so the store is filled until what was used longest ago has to go.
    async evictEntry() {
      const key = newKey()
      const text = 'x'.repeat(MAX_BYTES - 150)
      await store.lease([leaseOf(key, 'evict')])
      const entry = newEntry('row', '1', text)
      const sealed = envelope.seal(entry)
      const fill = { key, token: 'evict', sealed, version: entry.version, snapshot: '1:1:', keepMs: 10_000 }
      await store.fill([{ ...fill, loadedFrom: 'primary', replacesNewer: false }])
    },
    async evictGuard() {
      await store.lease(Array.from({ length: MAX_GUARDS }, (_, at) => leaseOf(newKey(), `evict-${at}`)))
    },
  }
}

storeContract('MemoryStore', open)

describe('MemoryStore', () => {
  it('keeps the bytes it holds below its bound and forgets what was used longest ago', async () => {
    const test = open()
    const labs = Array.from({ length: 12 }, () => new KeyLab(test))
    for (const lab of labs) await lab.put('1', { text: 'x'.repeat(10_000) })
    const found = await test.store.read(labs.map(({ key }) => key))
    expect(found.filter((bytes) => bytes !== null)).toHaveLength(9)
    expect(found[0]).toBeNull()
    expect(found[11]).not.toBeNull()
  })

  it('is not fooled by a wall clock that is set back: what has expired stays expired', async () => {
    const clock = new ManualClock()
    const lab = new KeyLab(open(clock))
    await lab.put('1', { keepMs: 1_000 })
    clock.stepWall(-3_600_000)
    await clock.advance(1_001)
    expect(await lab.read()).toBeNull()
  })

  it('holds nothing any more once it is closed', async () => {
    const test = open()
    const lab = new KeyLab(test)
    await lab.put('1')
    await test.store.close()
    expect(await lab.read()).toBeNull()
  })

  it('gives out bytes that a codec can open', async () => {
    const lab = new KeyLab(open())
    await lab.put('1', { text: 'tea' })
    const entry = envelope.open(Buffer.from((await lab.read()) as Uint8Array))
    expect(entry).toMatchObject({ kind: 'row', version: '1', freshMs: 10_000 })
  })
})
