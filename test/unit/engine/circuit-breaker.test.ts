import { describe, expect, it } from 'vitest'
import { type Admission, CircuitBreaker } from '../../../src/engine/circuit-breaker.js'
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
  const admit = () => breaker.admit() as Admission
  const fail = (times: number) => {
    for (let i = 0; i < times; i++) breaker.failed(admit())
  }
  return { clock, changes, breaker, admit, fail }
}

describe('CircuitBreaker', () => {
  it('opens after so many failures in a row', () => {
    const { breaker, admit, fail, changes } = open()
    fail(2)
    breaker.succeeded(admit())
    fail(2)
    expect(breaker.admit()).toBeDefined()
    fail(1)
    expect(breaker.admit()).toBeUndefined()
    expect(breaker.state).toBe('open')
    expect(changes).toEqual(['open'])
  })

  it('lets one call through when its time has come, and only one', async () => {
    const { breaker, fail, clock } = open()
    fail(3)
    await clock.advance(99)
    expect(breaker.admit()).toBeUndefined()
    await clock.advance(1)
    expect(breaker.admit()).toBeDefined()
    expect(breaker.admit()).toBeUndefined()
    expect(breaker.state).toBe('half-open')
  })

  it('closes when that call succeeds, and counts from the start again', async () => {
    const { breaker, admit, fail, clock, changes } = open()
    fail(3)
    await clock.advance(100)
    breaker.succeeded(admit())
    fail(2)
    expect(breaker.admit()).toBeDefined()
    expect(changes).toEqual(['open', 'half-open', 'closed'])
  })

  it('waits longer after each probe that fails, up to a limit, and starts short again after a success', async () => {
    const { breaker, admit, fail, clock } = open()
    const waits: number[] = []
    fail(3)
    for (let i = 0; i < 4; i++) {
      const sinceMs = clock.monotonicMs()
      let probe = breaker.admit()
      for (; probe === undefined && clock.monotonicMs() - sinceMs < 1_000; probe = breaker.admit())
        await clock.advance(1)
      waits.push(clock.monotonicMs() - sinceMs)
      breaker.failed(probe as Admission)
    }
    expect(waits).toEqual([100, 200, 350, 350])
    await clock.advance(350)
    breaker.succeeded(admit())
    fail(3)
    await clock.advance(100)
    expect(breaker.admit()).toBeDefined()
  })

  it('lets the next call through at once where there is reason to, and waits as long as ever if that fails', async () => {
    const { breaker, admit, fail, clock, changes } = open()
    breaker.tryNow()
    fail(3)
    await clock.advance(50)
    breaker.tryNow()
    const probe = admit()
    expect(probe).toBeDefined()
    breaker.tryNow()
    expect(breaker.admit(), 'one at a time').toBeUndefined()
    breaker.failed(probe)
    await clock.advance(199)
    expect(breaker.admit()).toBeUndefined()
    await clock.advance(1)
    expect(breaker.admit()).toBeDefined()
    expect(changes).toEqual(['open', 'half-open', 'open', 'half-open'])
  })

  it('takes no notice of failures of calls it admitted before it opened', async () => {
    const { breaker, admit, fail, clock, changes } = open()
    const old = admit()
    fail(3)
    await clock.advance(50)
    for (let i = 0; i < 5; i++) breaker.failed(old)
    await clock.advance(50)
    const probe = admit()
    breaker.failed(old)
    breaker.succeeded(probe)
    for (let i = 0; i < 5; i++) breaker.failed(old)
    expect(changes).toEqual(['open', 'half-open', 'closed'])
  })

  it('closes on a late success of a call it admitted before it opened: what answers is there', () => {
    const { breaker, admit, fail } = open()
    const old = admit()
    fail(3)
    breaker.succeeded(old)
    expect(breaker.state).toBe('closed')
  })

  it('leaves it to the call that it let through to decide, and not to one it admitted before', async () => {
    const { breaker, admit, fail, clock, changes } = open()
    const old = admit()
    fail(3)
    await clock.advance(100)
    const swallowed = admit()
    breaker.failed(swallowed)
    await clock.advance(200)
    const probe = admit()
    for (const call of [old, swallowed]) {
      breaker.failed(call)
      breaker.succeeded(call)
    }
    expect(breaker.state).toBe('half-open')
    breaker.succeeded(probe)
    expect(changes).toEqual(['open', 'half-open', 'open', 'half-open', 'closed'])
  })
})
