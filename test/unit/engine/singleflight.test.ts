import { describe, expect, it } from 'vitest'
import type { CacheKey } from '../../../src/core/key.js'
import { Singleflight } from '../../../src/engine/singleflight.js'
import { ManualClock, settle } from '../../support/manual-clock.js'

const KEY = 'shop:{public.products/42}' as CacheKey

function open() {
  const clock = new ManualClock()
  const flights = new Singleflight<string>()
  const lasting = (ms: number, value: string) => () => clock.sleep(ms).then(() => value)
  return { clock, flights, lasting }
}

describe('Singleflight', () => {
  it('offers a flight for joining until it has ended', async () => {
    const { clock, flights, lasting } = open()
    const flight = flights.start(KEY, lasting(50, 'row'))
    expect(flights.current(KEY)).toBe(flight)
    await clock.advance(50)
    expect(await flight.value).toBe('row')
    expect(flights.current(KEY)).toBeUndefined()
    expect(flights.size).toBe(0)
  })

  it('ends a failed flight like any other', async () => {
    const { flights } = open()
    const flight = flights.start(KEY, async () => {
      throw new Error('away')
    })
    await expect(flight.value).rejects.toThrow('away')
    expect(await flight.landed).toBe(false)
    expect(flights.size).toBe(0)
  })

  it('turns a fill that throws before its first await into a rejection', async () => {
    const { flights } = open()
    const flight = flights.start(KEY, () => {
      throw new Error('at once')
    })
    await expect(flight.value).rejects.toThrow('at once')
    expect(flights.size).toBe(0)
  })

  it('does not offer a forgotten flight, and its end takes no newer one away', async () => {
    const { clock, flights, lasting } = open()
    const before = flights.start(KEY, lasting(50, 'old'))
    flights.forget(KEY)
    expect(flights.current(KEY)).toBeUndefined()
    const newer = flights.start(KEY, lasting(100, 'new'))
    await clock.advance(60)
    expect(await before.value).toBe('old')
    expect(flights.current(KEY), 'still to be joined').toBe(newer)
    await clock.advance(60)
    expect(await newer.value).toBe('new')
    expect(flights.size).toBe(0)
  })

  it('tells whether the fill landed, after its value', async () => {
    const { clock, flights } = open()
    const flight = flights.start(KEY, async (progress) => {
      progress.landed = clock.sleep(20).then(() => true)
      return 'row'
    })
    expect(await flight.value).toBe('row')
    let landed: boolean | undefined
    void flight.landed.then((answer) => {
      landed = answer
    })
    await settle()
    expect(landed).toBeUndefined()
    await clock.advance(20)
    expect(landed).toBe(true)
  })

  it('tells whether a reader began before or after the question was asked, the last one if there were several', async () => {
    const { clock, flights } = open()
    const early = flights.now()
    const flight = flights.start(KEY, async (progress) => {
      progress.asks()
      await clock.sleep(10)
      progress.asks()
      await clock.sleep(10)
      return 'row'
    })
    const between = flights.now()
    await clock.advance(10)
    const late = flights.now()
    await clock.advance(10)
    await flight.value
    expect(early).toBeLessThan(flight.askedAt)
    expect(between).toBeLessThan(flight.askedAt)
    expect(late).toBeGreaterThan(flight.askedAt)
  })
})
