import type { RestRecord } from '../../../src/testing.js'
import type { ActorChoice } from './actor-talk.js'
import { openRedis, openShop } from './corral-side.js'
import type { Counts } from './counts.js'
import { ALL_IDS, type Product, shelfOf, slugOf } from './shop.js'
import type { Side } from './side.js'

const TTL_MS = 20_000
/** What an application would give its Redis client, so that a dead Redis costs a read no more than this. */
const DEADLINE_MS = 250

/**
 * Cache-aside as most services write it by hand: read Redis, on a miss read the database and SET with a TTL; after a write has committed,
 * DEL what holds the row. When Redis fails, reads go to the database and the DEL is lost. Nothing in here is a mistake on purpose.
 */
export function openByHandSide(choice: ActorChoice, counts: () => Counts): Side {
  const db = openShop(choice.postgresUrl, counts)
  const redis = openRedis(choice.redis)
  const keyOf = (what: string) => `${choice.namespace}:by-hand:${what}`

  async function inTime<Value>(answer: Promise<Value>): Promise<Value> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer from Redis within ${DEADLINE_MS} ms`)), DEADLINE_MS)
    })
    return Promise.race([answer, late]).finally(() => clearTimeout(timer))
  }

  async function cached<Value>(what: string, load: () => Promise<Value | undefined>): Promise<Value | undefined> {
    const key = keyOf(what)
    const held = await inTime(redis.get(key)).catch(() => null)
    if (held !== null) return JSON.parse(held) as Value
    const value = await load()
    if (value !== undefined) await inTime(redis.set(key, JSON.stringify(value), 'PX', TTL_MS)).catch(() => {})
    return value
  }

  /** After COMMIT. `pending` where the DEL failed: nobody will make up for it. */
  async function forget(ids: readonly number[]): Promise<'fenced' | 'pending'> {
    const keys = ids.flatMap((id) => [`row:${id}`, `slug:${slugOf(id)}`, `shelf:${shelfOf(id)}`].map(keyOf))
    return inTime(Promise.all(keys.map((key) => redis.del(key)))).then(
      () => 'fenced' as const,
      () => 'pending' as const,
    )
  }

  const select = () => db.selectFrom('products').selectAll()
  const load = (id: number) => select().where('id', '=', id).executeTakeFirst() as Promise<Product | undefined>
  const told = async (row: Product | undefined) => {
    if (row === undefined) return undefined
    return { row, version: row.corral_version, fence: await forget([row.id]) }
  }
  const updated = (id: number, stock: number, in_ = db) =>
    in_.updateTable('products').set({ stock }).where('id', '=', id).returningAll().executeTakeFirst() as Promise<
      Product | undefined
    >

  const find: Side['products']['find'] = (id, { consistency } = {}) =>
    consistency === 'primary' || consistency === 'verified' ? load(id) : cached(`row:${id}`, () => load(id))

  return {
    products: {
      find,
      findMany: (ids, readChoice) => Promise.all(ids.map((id) => find(id, readChoice))),
      update: async (id, { stock }) => told(await updated(id, stock)),
      mutate: async (id, decide) =>
        told(
          await db.transaction().execute(async (tx) => {
            const row = await tx.selectFrom('products').selectAll().where('id', '=', id).forUpdate().executeTakeFirst()
            return row && updated(id, decide(row as Product).stock, tx)
          }),
        ),
      upsert: async (values) =>
        (await told(
          (await db
            .insertInto('products')
            .values(values as never)
            .onConflict((on) => on.column('id').doUpdateSet({ stock: (values as Product).stock }))
            .returningAll()
            .executeTakeFirstOrThrow()) as Product,
        )) as never,
      delete: async (id) =>
        told(
          (await db.deleteFrom('products').where('id', '=', id).returningAll().executeTakeFirst()) as
            | Product
            | undefined,
        ),
    },
    findBySlug: async (slug) => ({
      row: await cached(
        `slug:${slug}`,
        () => select().where('slug', '=', slug).executeTakeFirst() as Promise<Product | undefined>,
      ),
      fromMemory: false,
    }),
    onShelf: async (shelf) =>
      (await cached(
        `shelf:${shelf}`,
        () => select().where('shelf', '=', shelf).orderBy('id').execute() as Promise<Product[]>,
      )) ?? [],
    async together(ids, stock, undo) {
      const undone = new Error('undone')
      const versions: (string | null)[] = []
      try {
        await db.transaction().execute(async (tx) => {
          for (const id of [...ids].sort((a, b) => a - b)) {
            versions.push((await updated(id, stock, tx))?.corral_version ?? null)
          }
          if (undo) throw undone
        })
      } catch (error) {
        if (error === undone) return { versions, fence: 'rolled-back' }
        throw error
      }
      return { versions, fence: await forget(ids) }
    },
    session: () => ({ token: '' }),
    async cacheAtRest() {
      const rows = new Map((await select().execute()).map((row) => [row.id, row.corral_version]))
      const records: RestRecord[] = []
      for (const id of ALL_IDS) {
        for (const what of [`row:${id}`, `slug:${slugOf(id)}`]) {
          const held = await redis.get(keyOf(what))
          if (held === null) continue
          const { corral_version: version } = JSON.parse(held) as Product
          records.push({ place: 'redis', key: keyOf(what), version, stored: rows.get(id) ?? null })
        }
      }
      return records
    },
    memoryAtRest: async () => [],
    role: () => 'off',
    async close() {
      redis.disconnect()
      await db.destroy()
    },
  }
}
