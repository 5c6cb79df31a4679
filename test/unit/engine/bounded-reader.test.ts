import { Buffer } from 'node:buffer'
import { expect, it } from 'vitest'
import { cacheKey, keyPrefix } from '../../../src/core/key.js'
import type { Version } from '../../../src/core/version.js'
import { BoundedReader, type BoundedReaderOptions } from '../../../src/engine/bounded-reader.js'
import { ManualClock } from '../../support/manual-clock.js'

const KEY = cacheKey(keyPrefix('shop', 'row', 'public.products'), ['42'])

/** Found by a fault run: memory had been given an older row meanwhile, and answered the next reader. */
it('a bounded read that is shown what another process has filled leaves no older row in memory', async () => {
  const outdated: unknown[] = []
  const held = { usable: true, verdict: 'fresh', entry: { version: '7' as Version }, value: 'row 7' }
  const missing = { usable: false, reason: 'nothing', seen: { bytes: null, useless: false } }
  const bounded = new BoundedReader<string, string>({
    parts: {
      clock: new ManualClock(),
      emit: () => {},
      isPending: () => false,
      store: { read: async () => null },
    },
    invalidation: { register: () => {} },
    ...{ prefix: 'shop:{public.products/', entity: 'public.products', hardTimeoutMs: 10_000 },
    prove: async () => 0,
    reader: {
      inspect: (_: unknown, bytes: Uint8Array | null) => (bytes === null ? missing : held),
      share: (value: string) => value,
    },
    // Waits for the lease of another process, and hands on what that has stored.
    filler: {
      fill: async (_key: unknown, _id: unknown, _seen: unknown, judge: (bytes: Buffer) => { value: string }) =>
        judge(Buffer.of(1)).value,
    },
    tier: {
      recallProven: () => undefined,
      generation: () => 1,
      outdate: (id: string, version: Version | null) => outdated.push([id, version]),
    },
  } as unknown as BoundedReaderOptions<string, string>)
  expect(await bounded.read(KEY, '42', 1_000)).toBe('row 7')
  expect(outdated).toEqual([['42', '7']])
})
