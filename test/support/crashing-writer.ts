/**
 * A process that updates one product through Corral and is killed by SIGKILL when its fence is about to leave: after COMMIT, before
 * anybody has heard of it.
 *
 * Usage: node --import tsx test/support/crashing-writer.ts <database URL> <Redis URL> <namespace> <id> <price>
 */
import { Redis } from 'ioredis'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { createWithSeams } from '../../src/client.js'
import { deadlyStore } from './deadly-store.js'
import type { ShopDatabase } from './shop-lab.js'

const [databaseUrl = '', redisUrl = '', namespace = '', id = '', price = ''] = process.argv.slice(2)
const redis = new Redis(redisUrl)
const store = deadlyStore(redis, namespace)
const dialect = new PostgresDialect({ pool: new pg.Pool({ connectionString: databaseUrl, max: 2 }) })
const corral = createWithSeams({ db: new Kysely<ShopDatabase>({ dialect }), redis, namespace }, { store })
await corral.repository('products', { key: 'id' }).update(Number(id), { price: Number(price) })
