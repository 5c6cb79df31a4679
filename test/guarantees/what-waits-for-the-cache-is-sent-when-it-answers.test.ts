import { afterEach, expect, it } from 'vitest'
import { NearFleet } from '../support/near-fleet.js'

const LATE_MS = 5_000

afterEach(() => NearFleet.closeAll())

it('what waits for the cache is sent when it answers anybody, and not when its turn comes', async () => {
  const fleet = new NearFleet({ l1: { maxAgeMs: 1 }, cache: { breakerFailures: 2 } })
  const process = fleet.start()
  fleet.table.put('1', 1)
  await process.read('1')
  const startedMs = fleet.clock.monotonicMs()
  const passedMs = () => fleet.clock.monotonicMs() - startedMs
  const [tries, states] = [
    () => process.cache.count('fence'),
    () => process.events.of('breaker').map(({ state }) => state),
  ]
  await fleet.clock.advance(2)
  process.cache.breakNext('read', { delayMs: LATE_MS })
  const late = process.read('1')
  await fleet.clock.advance(LATE_MS / 10)
  expect((await late)?.price).toBe(1)
  process.cache.breakAlways('fail')
  expect(await process.write('1', 2)).toBe('pending')
  await fleet.clock.advance(LATE_MS * 0.7)
  expect(states().at(-1)).toBe('open')
  // By now they are sent once a second. Right after one of these the cache is back, and says so by its late answer.
  for (const before = tries(); tries() === before; ) await fleet.clock.advance(1)
  process.cache.heal()
  const triedMs = passedMs()
  await fleet.clock.advance(LATE_MS + 10 - triedMs)
  expect(passedMs(), 'long before they are sent again').toBeLessThan(triedMs + 1_000)
  expect(process.events.of('fence.settled')).toEqual([{ type: 'fence.settled', keys: 1, outcome: 'fenced' }])
})
