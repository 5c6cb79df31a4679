import { expect, it, onTestFinished, vi } from 'vitest'
import { systemClock } from '../../../src/core/clock.js'

it('asks for no timer of less than nothing, of which Node 22 warns', async () => {
  const timers = vi.spyOn(globalThis, 'setTimeout')
  onTestFinished(() => timers.mockRestore())
  await Promise.all([systemClock.sleep(-5), new Promise<void>((resolve) => void systemClock.after(-5, resolve))])
  expect(timers.mock.calls.map(([, ms]) => ms)).toEqual([0, 0])
})
