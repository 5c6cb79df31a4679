import { AsyncLocalStorage } from 'node:async_hooks'
import { describe, expect, it } from 'vitest'
import { LoadGate } from '../../../src/engine/load-gate.js'
import { deferred } from '../../support/deferred.js'
import { ManualClock, settle } from '../../support/manual-clock.js'

function open(options: { concurrency?: number; queue?: number; queueMs?: number } = {}) {
  const clock = new ManualClock()
  const gate = new LoadGate({ clock, concurrency: 2, queue: 3, queueMs: 1_000, ...options })
  let running = 0
  let most = 0
  const load = (ms: number) => async () => {
    running++
    most = Math.max(most, running)
    await clock.sleep(ms)
    running--
    return ms
  }
  return { clock, gate, load, most: () => most }
}

describe('LoadGate', () => {
  it('runs so many loads at once and the others in their order', async () => {
    const { clock, gate, load, most } = open()
    const order: number[] = []
    const loads = [10, 20, 30, 40].map((ms) => gate.run('products', load(ms)).then((done) => order.push(done)))
    await settle()
    expect([gate.running, gate.waiting]).toEqual([2, 2])
    await clock.advance(200)
    await Promise.all(loads)
    expect(order).toEqual([10, 20, 30, 40])
    expect(most()).toBe(2)
    expect([gate.running, gate.waiting]).toEqual([0, 0])
    expect(clock.timers).toBe(0)
  })

  it('refuses at once what no longer fits into the queue', async () => {
    const { clock, gate, load } = open()
    const loads = Array.from({ length: 5 }, () => gate.run('products', load(10)))
    await settle()
    await expect(gate.run('products', load(10))).rejects.toMatchObject({ code: 'OVERLOADED', retryable: true })
    await clock.advance(100)
    await Promise.all(loads)
  })

  it('refuses what has waited too long, and never runs it', async () => {
    const { clock, gate, load, most } = open({ concurrency: 1 })
    const slow = gate.run('products', load(1_500))
    let ran = false
    const waiting = gate.run('products', async () => {
      ran = true
    })
    const outcome = waiting.catch((error) => error.message)
    await clock.advance(1_000)
    expect(await outcome).toContain('load.queueMs')
    await clock.advance(1_000)
    await slow
    await settle()
    expect(ran).toBe(false)
    expect(most()).toBe(1)
    expect(gate.running + gate.waiting).toBe(0)
  })

  it('counts only who still waits, and lets the next ones wait in the place of those it has refused', async () => {
    const { clock, gate, load } = open({ concurrency: 1 })
    const slow = gate.run('products', load(10_000))
    await settle()
    const ran: number[] = []
    for (let round = 0; round < 3; round++) {
      const refused = [1, 2, 3].map(() => gate.run('products', load(1)).catch((error) => error.message))
      await settle()
      expect(gate.waiting).toBe(3)
      await expect(gate.run('products', load(1))).rejects.toThrow('3 loads are waiting already (load.queue)')
      await clock.advance(1_000)
      for (const message of await Promise.all(refused)) expect(message).toContain('load.queueMs')
      expect(gate.waiting).toBe(0)
    }
    await clock.advance(6_500)
    const last = [1, 2, 3].map((one) => gate.run('products', async () => ran.push(one)))
    expect(gate.waiting).toBe(3)
    await clock.advance(500)
    await Promise.all([slow, ...last])
    expect(ran).toEqual([1, 2, 3])
    expect([gate.running, gate.waiting, clock.timers]).toEqual([0, 0, 0])
    expect(await gate.run('products', async () => 'row')).toBe('row')
  })

  it('keeps nothing of ten thousand that it has refused while a load hung: its place is free as soon as that ends', async () => {
    const { clock, gate } = open({ concurrency: 1, queue: 1_000 })
    const hanging = deferred<string>()
    const slow = gate.run('products', () => hanging.promise)
    const refused: unknown[] = []
    for (let round = 0; round < 10; round++) {
      for (let one = 0; one < 1_000; one++) {
        gate.run('products', async () => 'row').catch((error) => refused.push(error.code))
      }
      await clock.advance(1_000)
    }
    expect(refused).toEqual(Array.from({ length: 10_000 }, () => 'OVERLOADED'))
    hanging.resolve('at last')
    await slow
    let microtasks = 0
    for (; gate.running > 0; microtasks++) await null
    expect(microtasks, 'a few for each of the thousand that may wait').toBeLessThan(5_000)
    expect(clock.timers).toBe(0)
  })

  it('runs a load in the context of whoever asked for it, also in the turn of one that was refused', async () => {
    const { clock, gate, load } = open({ concurrency: 1 })
    const context = new AsyncLocalStorage<string>()
    const slow = context.run('slow', () => gate.run('products', load(1_500)))
    const refused = context.run('refused', () => gate.run('products', load(1)).catch((error) => error.code))
    await clock.advance(1_000)
    expect(await refused).toBe('OVERLOADED')
    const next = context.run('next', () => gate.run('products', async () => context.getStore()))
    await clock.advance(500)
    await slow
    expect(await next).toBe('next')
    expect(await context.run('free', () => gate.run('products', async () => context.getStore()))).toBe('free')
  })

  it('does not count the time a load itself takes', async () => {
    const { clock, gate, load } = open({ concurrency: 1 })
    const slow = gate.run('products', load(5_000))
    await clock.advance(5_000)
    expect(await slow).toBe(5_000)
  })

  it('passes failures on and goes on with the next', async () => {
    const { gate } = open({ concurrency: 1 })
    const failing = gate.run('products', async () => {
      throw new Error('away')
    })
    const next = gate.run('products', async () => 'row')
    await expect(failing).rejects.toThrow('away')
    expect(await next).toBe('row')
  })

  it('passes on also a failure before the first await', async () => {
    const { gate } = open()
    const failing = gate.run('products', () => {
      throw new Error('at once')
    })
    await expect(failing).rejects.toThrow('at once')
    expect(gate.running).toBe(0)
  })
})
