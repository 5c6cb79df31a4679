import { Buffer } from 'node:buffer'
import { expect, it } from 'vitest'
import { cacheKey, keyPrefix } from '../../../src/core/key.js'
import type { Version } from '../../../src/core/version.js'
import { BoundedReader, type BoundedReaderOptions } from '../../../src/engine/bounded-reader.js'
import { Filler } from '../../../src/engine/filler.js'
import { Floors } from '../../../src/engine/floors.js'
import { LoadCost } from '../../../src/policy/load-cost.js'
import { ManualClock } from '../../support/manual-clock.js'
import { plainChance } from '../../support/seeded-chance.js'

const KEY = cacheKey(keyPrefix('shop', 'row', 'public.products'), ['42'])

/** Found by a fault run: memory had been given an older row meanwhile, and answered the next reader. */
it('a bounded read that is shown what another process has filled leaves no older row in memory', async () => {
  const outdated: unknown[] = []
  let looks = 0
  const held = { usable: true, verdict: 'fresh', entry: { version: '7' as Version }, value: 'row 7' }
  const missing = { usable: false, reason: 'nothing', seen: { bytes: null, useless: false } }
  const parts = {
    ...{ clock: new ManualClock(), chance: plainChance(), floors: new Floors(10) },
    ...{ emit: () => {}, isPending: () => false },
    // Another process has filled between the look and the lease.
    store: {
      read: async () => (looks++ === 0 ? null : Buffer.of(1)),
      lease: async () => ({ outcome: 'changed', bytes: Buffer.of(1) }),
    },
  }
  const tier = {
    recallProven: () => undefined,
    generation: () => 1,
    outdate: (id: string, version: Version | null) => outdated.push([id, version]),
  }
  const settings = { jitter: 0, graceMs: 0, lease: { minMs: 200, maxMs: 5_000, waitMs: 5_000 } }
  const source = { entity: 'public.products', kind: 'row' }
  const bounded = new BoundedReader<string, string>({
    ...{ parts, tier, entity: source.entity, prefix: 'shop:{public.products/', hardTimeoutMs: 10_000 },
    invalidation: { register: () => {} },
    prove: async () => 0,
    reader: {
      inspect: (_: unknown, bytes: Uint8Array | null) => (bytes === null ? missing : held),
      share: (value: string) => value,
    },
    filler: new Filler({ parts, source, settings, tier, cost: new LoadCost() } as never),
  } as unknown as BoundedReaderOptions<string, string>)
  expect(await bounded.read(KEY, '42', 1_000)).toBe('row 7')
  expect(outdated).toEqual([['42', '7']])
})
