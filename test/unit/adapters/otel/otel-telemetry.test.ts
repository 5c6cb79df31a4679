import { type MeterProvider, type TracerProvider, trace } from '@opentelemetry/api'
import { describe, expect, it, onTestFinished } from 'vitest'
import { OtelTelemetry } from '../../../../src/adapters/otel/otel-telemetry.js'
import { cacheKey, keyPrefix } from '../../../../src/core/key.js'
import { ANSWERED, NO_TELEMETRY } from '../../../../src/core/telemetry.js'
import { ManualClock } from '../../../support/manual-clock.js'
import { TelemetryLab } from '../../../support/telemetry-lab.js'

const TABLE = 'public.products'
const KEY = cacheKey(keyPrefix('shop', 'row', TABLE), ['1'])

function open(sdk?: Pick<TelemetryLab, 'meterProvider'>): OtelTelemetry {
  return new OtelTelemetry({
    clock: new ManualClock(),
    namespace: 'shop',
    secret: undefined,
    ...(sdk && { meterProvider: sdk.meterProvider }),
  })
}

it('gives the same nothing for each call where no SDK is registered, and traces as soon as one is', async () => {
  const telemetry = open()
  expect(telemetry.read('find', TABLE)).toBe(NO_TELEMETRY.read('find', TABLE))
  const sdk = new TelemetryLab()
  trace.setGlobalTracerProvider(sdk.tracerProvider)
  onTestFinished(() => trace.disable())
  expect(await telemetry.read('find', TABLE).run(async () => 'row')).toBe('row')
  expect(sdk.spans.map(({ name }) => name)).toEqual([`cache.find ${TABLE}`])
})

it('of many keys says the worst result and the farthest tier', async () => {
  const sdk = new TelemetryLab()
  const telemetry = open(sdk)
  const span = telemetry.read('findMany', TABLE, 3)
  await span.run(async () => {
    for (const how of [ANSWERED.missed, ANSWERED.hit, ANSWERED.copied]) span.answered(how)
  })
  const duration = (await sdk.points()).find(({ name }) => name === 'cache.operation.duration')
  expect(duration?.attributes).toEqual({
    'cache.namespace': 'shop',
    'cache.name': TABLE,
    'cache.operation': 'findMany',
    'cache.result': 'miss',
    'cache.tier': 'source',
  })
  expect(await sdk.sum('cache.requests')).toBe(3)
  expect(await sdk.sum('cache.requests', { 'cache.result': 'hit', 'cache.tier': 'l2' })).toBe(1)
})

it('a failure is told by its kind, whether it is thrown or rejected', async () => {
  const sdk = new TelemetryLab()
  const telemetry = open(sdk)
  const error = Object.assign(new Error('duplicate key value (a@b.c)'), { code: '23505' })
  await expect(telemetry.write('insert', TABLE).run(() => Promise.reject(error))).rejects.toBe(error)
  const thrown = () => {
    throw error
  }
  expect(() => telemetry.read('find', TABLE).run(thrown)).toThrow(error)
  expect(await sdk.sum('cache.operation.duration', { 'cache.result': 'error', 'error.type': '23505' })).toBe(2)
})

describe('a provider that throws fails nothing that it watches', () => {
  const broken = () => {
    throw new Error('of the application')
  }
  const spanContext = () => ({ traceId: '1'.repeat(32), spanId: '1'.repeat(16), traceFlags: 1 })
  const span = { setAttributes: broken, setStatus: broken, addLink: broken, end: broken, spanContext }
  const meter = {
    ...{ createHistogram: () => ({ record: broken }), createCounter: () => ({ add: broken }) },
    ...{ createObservableCounter: () => ({}), createObservableUpDownCounter: () => ({}) },
    ...{ createObservableGauge: () => ({}), addBatchObservableCallback: () => {} },
  }
  const meterProvider = { getMeter: () => meter } as unknown as MeterProvider

  it.each<[string, () => unknown]>([
    ['a processor that will not take a span that ends', () => ({ startSpan: () => span })],
    ['a sampler that does not decide', () => ({ startSpan: broken })],
    ['a provider without a tracer', broken],
  ])('%s', async (_, getTracer) => {
    const tracerProvider = { getTracer } as unknown as TracerProvider
    const options = { clock: new ManualClock(), namespace: 'shop', secret: undefined, meterProvider, tracerProvider }
    const telemetry = new OtelTelemetry(options)
    const written = { fence: 'fenced' }
    expect(await telemetry.write('update', TABLE).run(async () => written), 'a committed write').toBe(written)
    const error = new Error('of the database')
    await expect(telemetry.write('update', TABLE).run(() => Promise.reject(error))).rejects.toBe(error)
    const read = telemetry.read('find', TABLE)
    const fill = telemetry.fill(TABLE, KEY, 'miss')
    const reading = read.run(async () => {
      const row = await fill.within(async () => 'row')
      fill.end('filled')
      read.answered(ANSWERED.missed, fill)
      return row
    })
    expect(await reading).toBe('row')
    telemetry.load(TABLE, KEY).failed(error)
    expect(await telemetry.fence(1).run(async () => 'fenced')).toBe('fenced')
    telemetry.waitForLease(TABLE)('answered')
    telemetry.busDelay(1)
    telemetry.onEvent({ type: 'fence', outcome: 'fenced', keys: 1, replaced: 0, durationMs: 1 })
    telemetry.close()
  })
})

it('watches what this process holds for as long as it is open', async () => {
  const sdk = new TelemetryLab()
  const telemetry = open(sdk)
  const near = { hits: 5, entries: 2, bytes: 300 }
  telemetry.watchNear(TABLE, near)
  telemetry.watchInstance(() => ({
    breaker: 'open',
    pendingFences: 4,
    loads: { running: 1, waiting: 2 },
    hotKeys: new Map([[TABLE, 3]]),
    locksHeld: 5,
    relay: { leads: true, pending: 7, ageMs: 1_500 },
  }))
  near.hits = 6
  const sums = async () => ({
    l1: await sdk.sum('cache.requests', { 'cache.tier': 'l1', 'cache.name': TABLE }),
    entries: await sdk.sum('cache.l1.entry.count'),
    bytes: await sdk.sum('cache.l1.size'),
    open: await sdk.sum('cache.breaker.state', { 'cache.breaker.state': 'open' }),
    anyState: await sdk.sum('cache.breaker.state'),
    fences: await sdk.sum('cache.fence.pending'),
    running: await sdk.sum('cache.load.running'),
    waiting: await sdk.sum('cache.load.waiting'),
    hot: await sdk.sum('cache.hotkey.active', { 'cache.name': TABLE }),
    locks: await sdk.sum('cache.lock.holders'),
    leaders: await sdk.sum('cache.relay.leader'),
    pending: await sdk.sum('cache.outbox.pending'),
    age: await sdk.sum('cache.outbox.age'),
  })
  const seen = {
    l1: 6,
    entries: 2,
    bytes: 300,
    open: 1,
    anyState: 1,
    fences: 4,
    running: 1,
    waiting: 2,
    hot: 3,
    locks: 5,
  }
  expect(await sums()).toEqual({ ...seen, leaders: 1, pending: 7, age: 1.5 })
  telemetry.close()
  const { l1, ...rest } = await sums()
  expect(l1).toBe(6)
  expect(new Set(Object.values(rest))).toEqual(new Set([0]))
})
