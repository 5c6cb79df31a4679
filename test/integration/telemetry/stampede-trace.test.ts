import { type Span, SpanKind } from '@opentelemetry/api'
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base'
import pg from 'pg'
import { expect, it } from 'vitest'
import { waitUntil } from '../../support/servers/wait.js'
import { ShopLab, type ShopProcess, untilFilled } from '../../support/shop-lab.js'
import { TelemetryLab } from '../../support/telemetry-lab.js'

const TABLE = 'public.products'

const idOf = (span: ReadableSpan) => span.spanContext().spanId

it('a stampede is one fill span, child of the read that began it and linked from all others', async () => {
  const lab = await ShopLab.open()
  const sdk = TelemetryLab.open()
  const shop = lab.start({ telemetry: sdk.options })
  await lab.run(`insert into products (slug) values ('tea'), ('mug')`)
  // The table is opened, and its catalog read, before the trace that counts.
  await shop.products.find(2)
  await untilFilled(shop)
  const before = sdk.spans.length
  const letGo = await lab.lockProducts()

  // Some share the look of the first in one tick, the others find its fill under way.
  const together = Array.from({ length: 20 }, () => shop.products.find(1))
  await waitUntil('the load waits for the lock', 5_000, async () => {
    const [row] = await lab.run(`select count(*)::int as n from pg_stat_activity where wait_event_type = 'Lock'`)
    return row?.n === 1
  })
  const later = Array.from({ length: 30 }, () => shop.products.find(1))
  await waitUntil('all have joined', 5_000, async () => shop.events.count('coalesced') === 49)
  await letGo()
  const rows = await Promise.all([...together, ...later])
  await untilFilled(shop, 2)

  expect(new Set(rows.map((row) => row?.slug))).toEqual(new Set(['tea']))
  const spans = sdk.spans.slice(before)
  const [fill, ...others] = spans.filter(({ name }) => name === `cache.fill ${TABLE}`)
  expect(others).toEqual([])
  const reads = spans.filter(({ name }) => name === `cache.find ${TABLE}`)
  expect(reads).toHaveLength(50)
  const leaders = reads.filter((read) => idOf(read) === fill?.parentSpanContext?.spanId)
  expect(leaders).toHaveLength(1)
  const linked = reads.filter(({ links }) => links.length === 1 && links[0]?.context.spanId === (fill && idOf(fill)))
  expect(linked).toHaveLength(49)
  expect(linked).not.toContain(leaders[0])
  expect(fill?.attributes).toMatchObject({ 'cache.fill.reason': 'miss', 'cache.fill.outcome': 'filled' })
  for (const read of reads) {
    expect(read.attributes).toMatchObject({ 'cache.result': 'miss', 'cache.tier': 'source', 'cache.hit': false })
  }
})

it('what instrumented drivers do belongs to the work it is done for, and no span of ours is a CLIENT span', async () => {
  const lab = await ShopLab.open()
  const sdk = TelemetryLab.open()
  const tracer = sdk.tracerProvider.getTracer('pg')
  const query = pg.Client.prototype.query
  // As the instrumentation of pg does it: the span's parent is whatever is active when the query is made.
  pg.Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
    const text = (args[0] as { text?: string }).text ?? String(args[0])
    const span: Span = tracer.startSpan(`pg ${text.slice(0, 6)}`, { kind: SpanKind.CLIENT })
    span.end()
    return (query as (...args: unknown[]) => unknown).apply(this, args)
  } as typeof query
  try {
    const shop = lab.start({ telemetry: sdk.options })
    await lab.run(`insert into products (slug) values ('tea')`)
    await shop.products.find(1)
    await untilFilled(shop)
    await shop.products.update(1, { price: 7 })
    await shop.corral.transaction(async (tx) => {
      await shop.products.in(tx).update(1, { price: 8 })
    })
  } finally {
    pg.Client.prototype.query = query
  }
  const byId = new Map(sdk.spans.map((span) => [idOf(span), span]))
  const parentOf = (span: ReadableSpan) => byId.get(span.parentSpanContext?.spanId ?? '')?.name
  const select = sdk.spans.filter(({ name }) => name === 'pg select').at(-1) as ReadableSpan
  expect(parentOf(select)).toBe(`cache.fill ${TABLE}`)
  const updates = sdk.spans.filter(({ name }) => /^pg (update|begin|commit)/.test(name))
  expect(updates.map((span) => [span.name, parentOf(span)])).toEqual([
    ['pg update', `cache.write ${TABLE}`],
    ['pg begin', 'cache.write'],
    ['pg update', 'cache.write'],
    ['pg commit', 'cache.write'],
  ])
  const fences = sdk.spansCalled('cache.fence')
  expect(fences.map((span) => [parentOf(span), span.attributes['cache.fence.outcome']])).toEqual([
    [`cache.write ${TABLE}`, 'fenced'],
    ['cache.write', 'fenced'],
  ])
  const ours = sdk.spans.filter(({ name }) => name.startsWith('cache.'))
  expect(new Set(ours.map(({ kind }) => kind))).toEqual(new Set([SpanKind.INTERNAL]))
})

it('a refresh is a span of its own that nobody waits for, and a load without the cache is one too', async () => {
  const lab = await ShopLab.open()
  const sdk = TelemetryLab.open()
  const refresh = { beta: 10, maxEarliness: 1, maxLoads: 100 }
  const shop = lab.start({ telemetry: sdk.options, ttl: { freshMs: 400, jitter: 0 }, refresh })
  await lab.run(`insert into products (slug) values ('tea')`)
  await shop.products.find(1, { consistency: 'primary' })
  expect(sdk.spansCalled(`cache.load ${TABLE}`)).toHaveLength(1)
  expect(sdk.spansCalled(`cache.find ${TABLE}`)[0]?.attributes).toMatchObject({ 'cache.result': 'bypass' })
  await shop.products.find(1)
  await untilFilled(shop)
  await waitUntil('a refresh was drawn', 10_000, async () => {
    await shop.products.find(1)
    return sdk.spansCalled(`cache.refresh ${TABLE}`).length > 0
  })
  expect(sdk.spansCalled(`cache.refresh ${TABLE}`)[0]?.attributes).toMatchObject({ 'cache.fill.reason': 'refresh' })
})

it('who waits for the fill of another process is timed', async () => {
  const lab = await ShopLab.open()
  const [first, second] = [TelemetryLab.open(), TelemetryLab.open()]
  const [filling, waiting] = [lab.start({ telemetry: first.options }), lab.start({ telemetry: second.options })]
  await lab.run(`insert into products (slug) values ('tea')`)
  for (const { products } of [filling, waiting]) await products.find(2)
  const letGo = await lab.lockProducts()
  const leases = [filling, waiting].map(({ cache }) => cache.count('lease'))
  const moreLeases = (at: number, { cache }: ShopProcess) => cache.count('lease') > (leases[at] as number)
  const fills = filling.products.find(1)
  await waitUntil('the lease is taken', 5_000, async () => moreLeases(0, filling))
  const waits = Promise.all([1, 2, 3].map(() => waiting.products.find(1)))
  await waitUntil('the other process has asked for it', 5_000, async () => moreLeases(1, waiting))
  await letGo()
  await Promise.all([fills, waits])
  expect(await second.sum('cache.lease.wait.duration', { 'cache.wait.outcome': 'answered' })).toBe(1)
  expect(await second.sum('cache.coalesced.requests', { 'cache.scope': 'fleet' })).toBe(1)
  expect(await first.sum('cache.lease.wait.duration')).toBe(0)
  expect(
    second.spansCalled(`cache.fill ${TABLE}`).filter(({ attributes }) => attributes['cache.fill.outcome']),
  ).toHaveLength(waiting.events.count('fill'))
})
