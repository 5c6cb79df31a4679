import { Redis } from 'ioredis'
import { expect, it, onTestFinished } from 'vitest'
import { createCorral } from '../../../src/client.js'
import { Recorder } from '../../support/recorder.js'
import { waitUntil } from '../../support/servers/wait.js'
import { freshNamespace, redisUrl } from '../../support/services.js'
import { openProducts, openShopDatabase, ShopLab } from '../../support/shop-lab.js'

/** A process on one of the numbered databases of a Redis that it shares. */
function start(shop: ShopLab, namespace: string, redis: Redis) {
  const db = openShopDatabase(shop.databaseUrl)
  const events = new Recorder()
  const corral = createCorral({ db, redis, namespace, onEvent: events.emit })
  onTestFinished(async () => {
    await corral.close()
    redis.disconnect()
    await db.destroy()
  })
  return { corral, events }
}

/** An application with a database of its own. */
async function deployment(namespace: string, number: number) {
  const redis = new Redis(redisUrl(), { lazyConnect: true, db: number })
  const { corral, events } = start(await ShopLab.open(), namespace, redis)
  return { products: openProducts(corral, { onWrite: 'publish' }), events }
}

it.each([
  [0, 1],
  [1, 2],
])('deployments of one namespace on databases %i and %i of one Redis share nothing', async (first, second) => {
  const namespace = freshNamespace()
  const [production, staging] = [await deployment(namespace, first), await deployment(namespace, second)]
  const { row } = await production.products.insert({ slug: 'production', price: 1 })
  const other = await staging.products.insert({ slug: 'staging', price: 99 })
  expect(other.row.id, 'ids of two databases overlap').toBe(row.id)
  await waitUntil('both hold their row in memory', 5_000, async () => {
    await production.products.find(row.id)
    await staging.products.find(row.id)
    return [production, staging].every(({ events }) => events.of('hit').some(({ tier }) => tier === 'l1'))
  })
  await staging.products.update(row.id, { price: 100 })
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect((await production.products.find(row.id))?.slug).toBe('production')
})

it('processes on one numbered database hear each other', async () => {
  const namespace = freshNamespace()
  const shop = await ShopLab.open()
  // As a URL gives it.
  const onThird = () => new Redis(`${redisUrl().replace(/\/\d*$/, '')}/3`, { lazyConnect: true })
  const [writer, reader] = [start(shop, namespace, onThird()), start(shop, namespace, onThird())]
  const [ofWriter, ofReader] = [openProducts(writer.corral), openProducts(reader.corral)]
  const { row } = await ofWriter.insert({ price: 1 })
  await waitUntil('the reader holds the row in memory', 5_000, async () => {
    await ofReader.find(row.id)
    return reader.events.of('hit').some(({ tier }) => tier === 'l1')
  })
  await ofWriter.update(row.id, { price: 2 })
  await waitUntil('the reader has heard', 2_000, async () => (await ofReader.find(row.id))?.price === 2)
})
