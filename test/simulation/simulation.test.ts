import { availableParallelism } from 'node:os'
import { beforeAll, describe, expect, it } from 'vitest'
import { bundleSimulation } from './bundle.js'
import { PROFILE_NAMES } from './profile.js'
import { runSeeds } from './runner.js'
import { WITNESSES } from './witnesses.js'
import { simulate } from './world.js'

/** Seeds of a run, and how long they may take: a busy machine runs fewer. `npm run simulate` runs as many as you like. */
const SEEDS = 10_000
const LEAST_SEEDS = 60
const BUDGET_MS = 25_000
const SEEDS_PER_WITNESS = 500

describe('the shipped code in a simulated world', () => {
  let bundle: string
  beforeAll(async () => {
    bundle = await bundleSimulation()
  })

  it('keeps its promises in every run', async () => {
    const { seeds, broken, witnesses } = await runSeeds({
      ...{ bundle, from: 0, to: SEEDS, budgetMs: BUDGET_MS, threads: Math.min(2, availableParallelism()) },
    })
    expect(broken).toEqual([])
    expect(seeds).toBeGreaterThanOrEqual(LEAST_SEEDS)
    // The races did take place: each in one of so many seeds at least, once there are that many.
    const missing = WITNESSES.filter((witness) => (witnesses[witness] ?? 0) < Math.floor(seeds / SEEDS_PER_WITNESS))
    expect(missing).toEqual([])
  }, 300_000)

  it('runs one seed the same way each time', async () => {
    for (const seed of PROFILE_NAMES.keys()) {
      const [one, again] = [await simulate(seed, { tells: true }), await simulate(seed, { tells: true })]
      expect(one.story.length).toBeGreaterThan(50)
      expect(again.story).toEqual(one.story)
    }
  }, 300_000)
})
