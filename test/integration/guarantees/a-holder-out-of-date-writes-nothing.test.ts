import { Redis } from 'ioredis'
import { Kysely, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Corral, type CorralEvent, createCorral, type FencedLock, isCorralError } from '../../../src/index.js'
import { fencedLocks } from '../../../src/migrations.js'
import { deferred } from '../../support/deferred.js'
import { freshDatabase, freshNamespace, redisUrl } from '../../support/services.js'

interface Orders {
  orders: { id: number; state: string; note: string | null }
}

interface Worker {
  readonly corral: Corral<Orders>
  readonly db: Kysely<Orders>
  readonly redis: Redis
  readonly events: CorralEvent[]
}

/** Two workers on one order, in a database of their own. */
async function open({ migrated = true } = {}) {
  const url = await freshDatabase()
  const namespace = freshNamespace()
  const join = (databaseUrl = url): Worker => {
    const pool = new pg.Pool({ connectionString: databaseUrl, max: 4 })
    const db = new Kysely<Orders>({ dialect: new PostgresDialect({ pool }) })
    const redis = new Redis(redisUrl())
    const events: CorralEvent[] = []
    const onEvent = (event: CorralEvent) => events.push(event)
    const corral = createCorral({ db, redis, namespace, onEvent, cache: { deadlineMs: 2_000 } })
    onTestFinished(async () => {
      await corral.close()
      redis.disconnect()
      await db.destroy()
    })
    return { corral, db, redis, events }
  }
  const first = join()
  if (migrated) await fencedLocks().up(first.db)
  await sql`create table orders (id integer primary key, state text not null, note text)`.execute(first.db)
  await first.db.insertInto('orders').values({ id: 1, state: 'new', note: null }).execute()
  return { first, second: join(), join, hintKey: `${namespace}:lock:order:1` }
}

/** Takes the lock and stays in it until told to go on. */
function hold({ corral }: Worker, work: (lock: FencedLock) => Promise<unknown> = async () => {}) {
  const start = deferred<FencedLock>()
  const goOn = deferred<void>()
  const done = corral.withFencedLock('order:1', async (lock) => {
    start.resolve(lock)
    await goOn.promise
    return work(lock)
  })
  done.catch((error) => start.reject(error))
  return { held: start.promise, goOn: () => goOn.resolve(), done }
}

const stateOf = async ({ db }: Worker) => (await db.selectFrom('orders').select('state').executeTakeFirst())?.state

describe('a holder whose lock has passed on', () => {
  it('is refused by the protected statement', async () => {
    const { first, second, hintKey } = await open()
    const paused = hold(first, (lock) =>
      first.db.updateTable('orders').set({ state: 'from the past' }).where('id', '=', 1).where(lock.held()).execute(),
    )
    await paused.held
    // As when the holder does not renew in time.
    await first.redis.del(hintKey)
    await second.corral.withFencedLock('order:1', (lock) =>
      second.db.updateTable('orders').set({ state: 'paid' }).where('id', '=', 1).where(lock.held()).execute(),
    )
    paused.goOn()
    expect(await paused.done).toMatchObject([{ numUpdatedRows: 0n }])
    expect(await stateOf(first)).toBe('paid')
  })

  it('is refused in a transaction, which writes nothing', async () => {
    const { first, second, hintKey } = await open()
    const paused = hold(first, (lock) =>
      first.corral.transaction(async (tx) => {
        await lock.assertHeld(tx)
        await tx.updateTable('orders').set({ state: 'from the past' }).execute()
      }),
    )
    await paused.held
    await first.redis.del(hintKey)
    await second.corral.withFencedLock('order:1', async () => {})
    paused.goOn()
    expect(isCorralError(await paused.done.catch((error) => error), 'LOCK_LOST')).toBe(true)
    expect(await stateOf(first)).toBe('new')
    expect(first.events.filter(({ type }) => type === 'write.unseen')).toEqual([])
    expect(first.events).toContainEqual(expect.objectContaining({ type: 'lock', state: 'refused' }))
  })

  it('keeps the next one waiting while its protected transaction is under way', async () => {
    const { first, second, hintKey } = await open()
    const order: string[] = []
    const inside = deferred<void>()
    const commit = deferred<void>()
    const writing = first.corral.withFencedLock('order:1', (lock) =>
      first.corral.transaction(async (tx) => {
        await lock.assertHeld(tx)
        inside.resolve()
        await commit.promise
        await tx.updateTable('orders').set({ state: 'paid' }).execute()
        order.push('written')
      }),
    )
    await inside.promise
    await first.redis.del(hintKey)
    const next = second.corral.withFencedLock('order:1', async () => {
      order.push('next holder')
      return stateOf(second)
    })
    await waitForStatement(first, '%insert into%fenced_locks%')
    commit.resolve()
    expect(await next).toBe('paid')
    await writing
    expect(order).toEqual(['written', 'next holder'])
  })

  it('is refused although its statement began before the next holder was known', async () => {
    const { first, second } = await open()
    const started = deferred<void>()
    await first.corral.withFencedLock('order:1', async (lock) => {
      // The next holder's token is written and not yet committed.
      const issuing = second.db.transaction().execute(async (tx) => {
        await sql`update corral.fenced_locks set token = token + 1`.execute(tx)
        started.resolve()
        await waitForStatement(first, '%update "orders"%')
      })
      await started.promise
      const written = first.db.updateTable('orders').set({ state: 'from the past' }).where(lock.held()).execute()
      await issuing
      expect(await written).toMatchObject([{ numUpdatedRows: 0n }])
    })
    expect(await stateOf(first)).toBe('new')
  })

  it('gives its tokens in rising order to any number of holders at once', async () => {
    const { join } = await open()
    const workers = Array.from({ length: 4 }, () => join())
    const tokens: number[] = []
    let inside = 0
    let most = 0
    await Promise.all(
      workers.flatMap(({ corral }) =>
        Array.from({ length: 5 }, () =>
          corral.withFencedLock(
            'order:1',
            async ({ token }) => {
              most = Math.max(most, ++inside)
              tokens.push(Number(token))
              await new Promise((resolve) => setImmediate(resolve))
              inside--
            },
            { waitMs: 15_000 },
          ),
        ),
      ),
    )
    expect(most).toBe(1)
    expect(tokens).toHaveLength(20)
    expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b))
  })
})

describe('withFencedLock', () => {
  it('tells the next holder of one that has not let go', async () => {
    const { first, second, hintKey } = await open()
    const paused = hold(first)
    await paused.held
    await first.redis.del(hintKey)
    await second.corral.withFencedLock('order:1', async () => {})
    const [acquired] = second.events.filter((event) => event.type === 'lock')
    expect(acquired).toMatchObject({ state: 'acquired', others: 1, hint: 'taken' })
    paused.goOn()
    await paused.done
    await second.corral.withFencedLock('order:1', async () => {})
    const last = second.events.findLast((event) => event.type === 'lock' && event.state === 'acquired')
    expect(last).toMatchObject({ others: 0 })
  })

  it('does not run without the database', async () => {
    const { join } = await open()
    const lost = join('postgres://nobody@127.0.0.1:1/none')
    let ran = false
    const refused = lost.corral.withFencedLock('order:1', async () => {
      ran = true
    })
    expect(isCorralError(await refused.catch((error) => error), 'SOURCE_FAILED')).toBe(true)
    expect(ran).toBe(false)
  })

  it('says which migration is missing', async () => {
    const { first } = await open({ migrated: false })
    const refused = first.corral.withFencedLock('order:1', async () => {})
    const error = await refused.catch((error) => error)
    expect(isCorralError(error, 'CONFIG_INVALID')).toBe(true)
    expect(error.message).toContain('fencedLocks')
  })

  it('refuses bad names and options, naming them', async () => {
    const { first } = await open()
    const message = async (name: unknown, options?: object) =>
      first.corral.withFencedLock(name as string, async () => {}, options).catch(({ message }) => message)
    expect(await message('')).toContain('withFencedLock.name')
    expect(await message('a', { ttl: 5 })).toContain('withFencedLock.ttl')
    expect(await message('a', { ttlMs: 1 })).toContain('option `lock.ttlMs`: expected a number from 10 to 3600000')
    expect(await message('a', { waitMs: -1 })).toContain('lock.waitMs')
  })

  it('protects nothing outside of a transaction, and says so', async () => {
    const { first } = await open()
    const error = await first.corral.withFencedLock('order:1', (lock) => lock.assertHeld(first.db)).catch((e) => e)
    expect(isCorralError(error, 'CONFIG_INVALID')).toBe(true)
  })

  it('goes on above its old tokens when rows of the table were deleted', async () => {
    const { first } = await open()
    const take = () => first.corral.withFencedLock('order:1', async ({ token }) => BigInt(token))
    const before = [await take(), await take(), await take()]
    await sql`delete from corral.fenced_locks`.execute(first.db)
    expect(await take()).toBeGreaterThan(before.at(-1) as bigint)
  })

  it('has a migration that comes and goes any number of times', async () => {
    const { first } = await open()
    const { up, down } = fencedLocks()
    await up(first.db)
    await down(first.db)
    await down(first.db)
    const { rows } = await sql`select 1 from pg_namespace where nspname = 'corral'`.execute(first.db)
    expect(rows).toEqual([])
  })
})

/** Until a statement like this waits for a row that another transaction has locked. */
async function waitForStatement({ db }: Worker, like: string): Promise<void> {
  for (;;) {
    const { rows } = await sql`
      select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like ${like} and datname = current_database()
        and pid <> pg_backend_pid()`.execute(db)
    if (rows.length > 0) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
