import { expect, it } from 'vitest'
import { ATTRIBUTES, type AttributeDefinition } from '../../../src/adapters/otel/attribute-names.js'
import { METRICS, type MetricDefinition, SPANS, type SpanDefinition } from '../../../src/adapters/otel/names.js'
import { waitUntil } from '../../support/servers/wait.js'
import { ShopLab, type ShopProcess } from '../../support/shop-lab.js'
import { TelemetryLab } from '../../support/telemetry-lab.js'

const SECRET_SLUG = 'wholly-confidential'
const SECRET_ID = 700_123

/** Every kind of read and write, hits, misses, absences, failures, a cache that is away. */
async function doEverything({ products, corral, cache }: ShopProcess): Promise<void> {
  await products.insert({ id: SECRET_ID, slug: SECRET_SLUG })
  await products.find(SECRET_ID)
  await products.find(SECRET_ID)
  await products.findMany([SECRET_ID, SECRET_ID + 1])
  await products.findBy({ slug: SECRET_SLUG })
  await products.find(SECRET_ID, { consistency: 'primary' })
  await products.find(SECRET_ID, { consistency: 'refresh' })
  await products.find(SECRET_ID, { consistency: 'verified' })
  await products.update(SECRET_ID, { price: 700_123 })
  await products.mutate(SECRET_ID, () => ({ price: 700_124 }))
  await products.upsert({ id: SECRET_ID, slug: SECRET_SLUG, price: 700_125 })
  await corral.transaction(async (tx) => {
    await products.in(tx).update(SECRET_ID, { price: 700_126 })
  })
  const cheap = corral.query('cheap', (db, price: number) =>
    db.selectFrom('products').selectAll().where('price', '<', price),
  )
  await cheap(700_123)
  await cheap(700_123)
  // The driver's message quotes the value.
  await expect(products.insert({ id: SECRET_ID + 2, slug: SECRET_SLUG })).rejects.toThrow()
  await expect(products.update(SECRET_ID, { price: SECRET_SLUG as never })).rejects.toThrow(SECRET_SLUG)
  cache.breakAlways('fail')
  await products.find(SECRET_ID + 3)
  cache.heal()
  await products.delete(SECRET_ID)
}

it('says nothing of keys and values, and nothing that is not declared', async () => {
  const lab = await ShopLab.open()
  const sdk = TelemetryLab.open()
  const shop = lab.start({ telemetry: sdk.options, l1: { maxEntries: 10 } })
  await doEverything(shop)
  await waitUntil('all is settled', 5_000, async () => shop.corral.stats().pendingFences === 0)

  const points = await sdk.points()
  const spans = sdk.spans.map(({ name, attributes, events, status, links }) => ({
    name,
    attributes,
    events,
    status,
    links: links.map((link) => link.attributes),
  }))
  const said = JSON.stringify([points.map(({ name, attributes }) => [name, attributes]), spans])
  expect(said).not.toContain(SECRET_SLUG)
  expect(said).not.toMatch(/7001\d\d/)

  const declared = new Map<string, MetricDefinition>(Object.values(METRICS).map((metric) => [metric.name, metric]))
  for (const { name, attributes } of points)
    check(attributes, ['namespace', ...(declared.get(name)?.attributes ?? [])], name)
  const definitions: readonly SpanDefinition[] = Object.values(SPANS)
  for (const { name, attributes } of spans) {
    const definition = definitions.find(
      (each) => name === each.name || name.startsWith(`${each.name} public.`) || name === `${each.name} cheap`,
    )
    check(attributes, definition?.attributes ?? [], name)
  }
  // All that can be seen without a fleet, a relay or a fault has been.
  const seen = new Set(points.filter(({ value }) => value > 0).map(({ name }) => name))
  for (const name of [
    'cache.operation.duration',
    'cache.requests',
    'cache.fill.duration',
    'cache.load.duration',
    'cache.load.rows',
    'cache.fence.keys',
    'cache.invalidation.lag',
    'cache.breaker.state',
    'cache.drift.checked',
    'cache.incidents',
    'cache.bus.resync',
  ]) {
    expect(seen).toContain(name)
  }
})

function check(attributes: object, allowed: readonly (keyof typeof ATTRIBUTES)[], where: string): void {
  for (const [name, value] of Object.entries(attributes)) {
    const definitions = allowed.map((key): AttributeDefinition => ATTRIBUTES[key])
    const definition = definitions.find((each) => each.name === name)
    expect(definition, `${name} of ${where} is declared`).toBeDefined()
    if (definition?.values) expect(definition.values, `${name} of ${where}`).toContain(value)
  }
}

it('gives fills and loads a hash of their key where that is asked for, another one under another secret', async () => {
  const lab = await ShopLab.open()
  await lab.run(`insert into products (id) values (${SECRET_ID})`)
  const hashOf = async (secret: string, keys?: 'hashed') => {
    const sdk = TelemetryLab.open()
    const shop = lab.start({ secret, telemetry: { ...sdk.options, ...(keys && { keys }) } })
    await shop.products.find(SECRET_ID, { consistency: 'primary' })
    const [load] = sdk.spansCalled('cache.load public.products')
    expect(JSON.stringify(load?.attributes)).not.toContain(String(SECRET_ID))
    return load?.attributes['cache.key.hash']
  }
  expect(await hashOf('a secret of sixteen')).toBeUndefined()
  const one = await hashOf('a secret of sixteen', 'hashed')
  expect(one).toMatch(/^[0-9a-f]{16}$/)
  expect(await hashOf('a secret of sixteen', 'hashed')).toBe(one)
  expect(await hashOf('another secret of it', 'hashed')).not.toBe(one)
})
