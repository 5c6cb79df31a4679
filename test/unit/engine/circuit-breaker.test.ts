import { describe, expect, it } from 'vitest'
import { CircuitBreaker } from '../../../src/engine/circuit-breaker.js'
import { ManualClock } from '../../support/manual-clock.js'

function open() {
  const clock = new ManualClock()
  const changes: string[] = []
  const breaker = new CircuitBreaker({
    clock,
    failures: 3,
    probeMs: 100,
    maxProbeMs: 350,
    onChange: (state) => changes.push(state),
  })
  const fail = (times: number) => {
    for (let i = 0; i < times; i++) breaker.failed()
  }
  return { clock, changes, breaker, fail }
}

describe('CircuitBreaker', () => {
  it('opens after so many failures in a row', () => {
    const { breaker, fail, changes } = open()
    fail(2)
    breaker.succeeded()
    fail(2)
    expect(breaker.admits()).toBe(true)
    fail(1)
    expect(breaker.admits()).toBe(false)
    expect(breaker.state).toBe('open')
    expect(changes).toEqual(['open'])
  })

  it('lets one call through when its time has come, and only one', async () => {
    const { breaker, fail, clock } = open()
    fail(3)
    await clock.advance(99)
    expect(breaker.admits()).toBe(false)
    await clock.advance(1)
    expect(breaker.admits()).toBe(true)
    expect(breaker.admits()).toBe(false)
    expect(breaker.state).toBe('half-open')
  })

  it('closes when that call succeeds, and counts from the start again', async () => {
    const { breaker, fail, clock, changes } = open()
    fail(3)
    await clock.advance(100)
    breaker.admits()
    breaker.succeeded()
    fail(2)
    expect(breaker.admits()).toBe(true)
    expect(changes).toEqual(['open', 'half-open', 'closed'])
  })

  it('waits longer after each probe that fails, up to a limit, and starts short again after a success', async () => {
    const { breaker, fail, clock } = open()
    const waits: number[] = []
    fail(3)
    for (let i = 0; i < 4; i++) {
      const sinceMs = clock.monotonicMs()
      while (!breaker.admits() && clock.monotonicMs() - sinceMs < 1_000) await clock.advance(1)
      waits.push(clock.monotonicMs() - sinceMs)
      breaker.failed()
    }
    expect(waits).toEqual([100, 200, 350, 350])
    await clock.advance(350)
    breaker.admits()
    breaker.succeeded()
    fail(3)
    await clock.advance(100)
    expect(breaker.admits()).toBe(true)
  })

  it('lets the next call through at once where there is reason to, and waits as long as ever if that fails', async () => {
    const { breaker, fail, clock, changes } = open()
    breaker.tryNow()
    fail(3)
    await clock.advance(50)
    breaker.tryNow()
    expect(breaker.admits()).toBe(true)
    breaker.tryNow()
    expect(breaker.admits(), 'one at a time').toBe(false)
    breaker.failed()
    await clock.advance(199)
    expect(breaker.admits()).toBe(false)
    await clock.advance(1)
    expect(breaker.admits()).toBe(true)
    expect(changes).toEqual(['open', 'half-open', 'open', 'half-open'])
  })

  it('takes no notice of failures of calls it admitted before it opened', async () => {
    const { breaker, fail, clock } = open()
    fail(3)
    await clock.advance(50)
    fail(5)
    await clock.advance(50)
    expect(breaker.admits()).toBe(true)
  })

  it('closes on a late success of a call it admitted before it opened: what answers is there', () => {
    const { breaker, fail } = open()
    fail(3)
    breaker.succeeded()
    expect(breaker.admits()).toBe(true)
  })
})
