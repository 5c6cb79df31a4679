import { expect, it } from 'vitest'
import type { ChangePage } from '../../../src/core/ports.js'
import { RelayProgress } from '../../../src/jobs/relay-progress.js'

function page(changes: number, lagMs: number, hasMore = false): ChangePage {
  return {
    changes: Array.from({ length: changes }, () => ({ kind: 'truncate', entity: 'e' })),
    lagMs,
    hasMore,
    isGap: false,
  }
}

it('is as far behind as its last poll, or as the oldest change it is carrying', () => {
  let nowMs = 1_000
  const progress = new RelayProgress({ monotonicMs: () => nowMs })
  nowMs += 10
  progress.asks()
  expect(progress.figures).toEqual({ pending: 0, ageMs: 10 })
  nowMs += 5
  const found = page(3, 700)
  progress.carries(found)
  // The cache does not answer: what is on the page grows old.
  nowMs += 200
  expect(progress.figures).toEqual({ pending: 3, ageMs: 900 })
  progress.carried(found)
  // What has committed since the poll began is not known of yet.
  expect(progress.figures).toEqual({ pending: 0, ageMs: 205 })
  nowMs += 50
  progress.asks()
  progress.carried(page(0, 0))
  expect(progress.figures).toEqual({ pending: 0, ageMs: 0 })
})

it('is not up to date before the last page of a poll has been carried', () => {
  let nowMs = 0
  const progress = new RelayProgress({ monotonicMs: () => nowMs })
  for (const hasMore of [true, true, false]) {
    progress.asks()
    nowMs += 10
    progress.carries(page(5, 10, hasMore))
    nowMs += 10
    progress.carried(page(5, 10, hasMore))
  }
  // Since the first page was asked for, not the last.
  expect(progress.figures).toEqual({ pending: 0, ageMs: 60 })
})
