import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { ManualClock, settle } from './manual-clock.js'
import { ProcessModel } from './process-model.js'

/**
 * Checks after every test of a file that no process of the model was left with something running: no flight, no load, no
 * background task, no timer, and no rejection that nobody handled. Call it at the top of the file.
 */
export function expectNothingLeft(): void {
  const unhandled: unknown[] = []
  const note = (reason: unknown) => unhandled.push(reason)
  beforeAll(() => void process.on('unhandledRejection', note))
  afterAll(() => void process.off('unhandledRejection', note))
  afterEach(async () => {
    await settle()
    for (const { flights, background, gate, pending, clock } of ProcessModel.takeAlive()) {
      const left = {
        flights: flights.size,
        background: background.size,
        loads: gate.running + gate.waiting,
        pendingFences: pending.size,
        timers: clock instanceof ManualClock ? clock.timers : 0,
      }
      expect(left, 'left running').toEqual({ flights: 0, background: 0, loads: 0, pendingFences: 0, timers: 0 })
    }
    expect(unhandled.splice(0), 'unhandled rejections').toEqual([])
  })
}
