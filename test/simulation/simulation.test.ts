import { beforeAll, describe, expect, it } from 'vitest'
import { bundleSimulation } from './bundle.js'
import { PROFILE_NAMES } from './profiles.js'
import { runSeeds } from './runner.js'
import { simulate } from './world.js'

/** Some 30 of each profile. `npm run simulate` runs as many as you like. */
const SEEDS = 1_000
/** What takes place in nearly every run of some profile: were it missing from so many, the runs would prove nothing. */
const SURELY_SEEN = [
  'A1 a fill arrived after the fence of a write that it had not seen',
  'A4 a COMMIT was not answered',
  'A5 a transaction thought better of it',
  'A6 a fence arrived after that of a later write',
  'A10 a guard was evicted that remembered a fence',
  'A15 a command arrived after its caller had given it up',
  'A16 an absence arrived after the fence of an INSERT',
  'A28 a server took over that lacked acknowledged fences',
  'A32 a fence was pending',
  'A35 a message was lost',
  'A47 somebody wrote by SQL',
  'A52 an entry of another shape was met',
  'a bound was proven',
  'a former primary followed the server that had replaced it',
  'a relay replayed',
] as const
/** How long a busy machine may take. */
const PATIENCE_MS = 600_000

describe('the shipped code in a simulated world', () => {
  let bundle: string
  beforeAll(async () => {
    bundle = await bundleSimulation()
  }, PATIENCE_MS)

  it(
    `keeps its promises in ${SEEDS} runs`,
    async () => {
      const { seeds, broken, witnesses } = await runSeeds({ bundle, from: 0, to: SEEDS, threads: 2 })
      expect(broken).toEqual([])
      expect(seeds).toBe(SEEDS)
      expect(SURELY_SEEN.filter((witness) => witnesses[witness] === undefined)).toEqual([])
    },
    PATIENCE_MS,
  )

  it(
    'runs one seed the same way each time',
    async () => {
      for (const seed of PROFILE_NAMES.keys()) {
        const [one, again] = [await simulate(seed, { tells: true }), await simulate(seed, { tells: true })]
        expect(one.story.length).toBeGreaterThan(20)
        expect(again.story).toEqual(one.story)
      }
    },
    PATIENCE_MS,
  )
})
