import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { RedisWalks } from '../../difference/redis/walks.js'
import { describeDiffering, runUntil } from '../../difference/story.js'
import { freshNamespace, redisUrl } from '../../support/services.js'

/** `npm run difference` makes as many as you like. */
const CALLS = 1_100
const FROM_SEED = 59
/** How long a busy machine may take. */
const PATIENCE_MS = 120_000
/** What has to come of so many calls: without it they would prove nothing. */
const SURELY_SEEN = [
  ...['lease leased', 'lease held', 'lease changed', 'lease failed'],
  ...['fill filled', 'fill lease-lost', 'fill fenced', 'fill older'],
  ...['fence dropped', 'fence kept', 'fence replaced', 'fence absent'],
]

describe('the Redis of the simulator, and the store in memory', () => {
  let walks: RedisWalks
  beforeAll(async () => {
    walks = await RedisWalks.open(redisUrl(), freshNamespace())
  })
  afterAll(() => walks.close())

  it(
    'answer every sequence of calls as the real one does, whatever expires or is evicted in between',
    async () => {
      const run = (seed: number) => walks.run(seed)
      const tally = await runUntil({ fromSeed: FROM_SEED, calls: CALLS, mostDiffering: 1, run })
      expect(describeDiffering('redis', tally)).toBe('')
      expect(SURELY_SEEN.filter((what) => !tally.witnesses.has(what))).toEqual([])
    },
    PATIENCE_MS,
  )
})
