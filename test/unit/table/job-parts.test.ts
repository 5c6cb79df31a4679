import { expect, it } from 'vitest'
import type { CacheKey } from '../../../src/core/key.js'
import { type JobParts, readStored } from '../../../src/table/job-parts.js'
import { ManualClock } from '../../support/manual-clock.js'

it('a job that cannot read the copies it is about says that it could not read', async () => {
  const clock = new ManualClock()
  const stored = { read: () => Promise.reject(new Error('LOADING')) }
  const parts = { stored, clock, assertOpen: () => {} } as unknown as JobParts
  const ended = readStored(parts, ['shop:{public.products/42}' as CacheKey], undefined, () => {}).catch(
    (error: Error) => error.message,
  )
  await clock.advance(60_000)
  expect(await ended).toBe('read did not reach the cache: LOADING')
})
