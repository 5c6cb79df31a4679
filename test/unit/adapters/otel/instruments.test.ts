import { expect, it } from 'vitest'
import { Instruments } from '../../../../src/adapters/otel/instruments.js'
import { TelemetryLab } from '../../../support/telemetry-lab.js'

const REQUESTS = { metric: 'requests', attributes: { 'cache.name': 'public.products' } } as const
const ENTRIES = { metric: 'l1Entries', attributes: {} } as const
const AGE = { metric: 'outboxAge', attributes: {} } as const

it('sums up what several instances say of the same, but for ages, of which the greatest counts', async () => {
  const sdk = new TelemetryLab()
  const instruments = Instruments.of(sdk.meterProvider)
  expect(Instruments.of(sdk.meterProvider)).toBe(instruments)
  instruments.observe(() => [
    { ...REQUESTS, value: 3 },
    { ...AGE, value: 2 },
  ])
  instruments.observe(() => [
    { ...REQUESTS, value: 4 },
    { ...AGE, value: 1 },
  ])
  expect(await sdk.points()).toEqual([
    { name: 'cache.requests', attributes: REQUESTS.attributes, value: 7 },
    { name: 'cache.outbox.age', attributes: {}, value: 2 },
  ])
})

it('a counter keeps what a closed instance had counted; all else of it becomes zero', async () => {
  const sdk = new TelemetryLab()
  const instruments = Instruments.of(sdk.meterProvider)
  const stop = instruments.observe(() => [
    { ...REQUESTS, value: 3 },
    { ...ENTRIES, value: 10 },
  ])
  await sdk.points()
  stop()
  stop()
  expect(await sdk.sum('cache.requests')).toBe(3)
  expect(await sdk.sum('cache.l1.entry.count')).toBe(0)
  instruments.observe(() => [{ ...REQUESTS, value: 1 }])
  expect(await sdk.sum('cache.requests')).toBe(4)
})
