import { describe, expect, it } from 'vitest'
import type { CacheKey } from '../../../src/core/key.js'
import type { ShardState } from '../../../src/core/ports.js'
import { writeTick } from '../../../src/core/tick.js'
import { NEVER, Watermark } from '../../../src/engine/watermark.js'
import { ManualClock, settle } from '../../support/manual-clock.js'

const BOUND_MS = 400
const KEY = 'shop:{public.products/1}' as CacheKey

/** The tick of this number, as the relay has left it on server A. */
function tickOnA(number: number): string {
  return writeTick({ chain: 'chain', number, epoch: 0, server: 'A' })
}

/** A process whose looks are answered by one server, and which then reads a tick along. */
async function proofAfterLook(
  look: ShardState,
  tickReadAlong: number,
): Promise<{ provenAtMs: number; lookAtMs: number }> {
  const clock = new ManualClock()
  await clock.advance(1_000)
  const watermark = new Watermark({
    shards: {
      list: () => ['shard'],
      of: () => 'shard',
      tickKey: () => 'tick' as CacheKey,
      takeMoves: () => [],
      look: async () => look,
      tick: async () => look,
      scan: async () => ({ keys: [], next: null }),
    },
    read: async () => Buffer.from(tickOnA(tickReadAlong)),
    clock,
    learnEpoch: () => {},
  })
  const lookAtMs = clock.monotonicMs()
  watermark.watch(BOUND_MS)
  await settle()
  await clock.advance(10)
  const provenAtMs = await watermark.prove([KEY], BOUND_MS)
  watermark.close()
  return { provenAtMs, lookAtMs }
}

describe('a look at a tick', () => {
  it('proves that the next but one was written for changes from before the look', async () => {
    const { provenAtMs, lookAtMs } = await proofAfterLook({ server: 'A', isKnown: true, tick: tickOnA(5) }, 7)
    expect(provenAtMs).toBe(lookAtMs)
  })

  it('proves nothing yet by the next one', async () => {
    const { provenAtMs } = await proofAfterLook({ server: 'A', isKnown: true, tick: tickOnA(5) }, 6)
    expect(provenAtMs).toBe(NEVER)
  })

  it('proves nothing on a server that shows the ticks of another one, long after they were written', async () => {
    const { provenAtMs } = await proofAfterLook({ server: 'B', isKnown: true, tick: tickOnA(5) }, 7)
    expect(provenAtMs).toBe(NEVER)
  })

  it('proves nothing where nobody knows which server has answered', async () => {
    const { provenAtMs } = await proofAfterLook({ server: 'A', isKnown: false, tick: tickOnA(5) }, 7)
    expect(provenAtMs).toBe(NEVER)
  })
})
