import { Kysely, MysqlDialect, Transaction } from 'kysely'
import { describe, expect, it } from 'vitest'
import { createCorral, createWithSeams } from '../../src/client.js'
import { isCorralError } from '../../src/core/errors.js'
import type { CorralEvent } from '../../src/core/events.js'
import { startRelay } from '../../src/relay-process.js'
import { ManualClock, settle } from '../support/manual-clock.js'
import { noDatabase, silentDatabase } from '../support/no-database.js'
import { refusalOf } from '../support/refusal.js'

interface Database {
  products: { id: number; slug: string }
}

const db = noDatabase<Database>()

const create = (options: object) => createCorral({ db, namespace: 'shop', ...options })

describe('createCorral', () => {
  it.each([
    [{ db: undefined }, 'option `db`: expected a Kysely instance for Postgres, found undefined'],
    [{ db: 'postgres://localhost' }, 'option `db`: expected a Kysely instance for Postgres, found a connection string'],
    [
      { namespace: undefined },
      'option `namespace`: expected 1 to 64 letters, digits, `_`, `.` or `-`, found undefined',
    ],
    [
      { db: new Kysely({ dialect: new MysqlDialect({ pool: {} as never }) }) },
      'option `db`: expected a Kysely instance for Postgres, found one with a MysqlAdapter',
    ],
    [
      { db: new Transaction({ config: {}, driver: {}, dialect: {}, executor: db.getExecutor() } as never) },
      'option `db`: expected a Kysely instance for Postgres, found a transaction of one',
    ],
    [{ reddis: 1 }, '`hotKeys`, `relay`, found unknown option reddis'],
    [{ namespace: 'a:b' }, 'option `namespace`: expected 1 to 64 letters, digits, `_`, `.` or `-`, found "a:b"'],
    [
      { redis: 'redis://localhost' },
      'option `redis`: expected an ioredis `Redis` or `Cluster` instance, found a connection string',
    ],
    [{ redis: {} }, 'option `redis`: expected an ioredis `Redis` or `Cluster` instance, found an object (Object)'],
    [
      { redis: { duplicate() {}, options: { keyPrefix: '{a}' } } },
      'option `redis.options.keyPrefix`: expected a prefix without `{`',
    ],
    [{ onEvent: 5 }, 'option `onEvent`: expected a function, found number 5'],
    [{ secret: 'short' }, 'option `secret`: expected a string of at least 16 characters, or a list of them'],
    [{ secret: [] }, 'option `secret`: expected a string of at least 16 characters, or a list of them'],
    [{ secret: ['a secret of the whole fleet', 'short'] }, 'or a list of them, found 5 characters'],
    [{ secret: ['a secret of the whole fleet', 5] }, 'or a list of them, found a number'],
    [{ reddis: 1 }, 'option `reddis`: expected one of `db`, `redis`, `namespace`'],
    [
      { relay: { source: 'slot', slot: { connection: {}, name: 5 } } },
      'option `relay.slot.name`: expected 1 to 63 of `a-z`, `0-9` and `_`, found number 5',
    ],
    [
      { relay: { source: 'slot', slot: { connection: {}, maxChanges: 4_999 } } },
      'option `relay.slot.maxChanges`: expected at least relay.slot.maxRows (5000), found number 4999',
    ],
    [{ ttl: { freshMs: 0 } }, 'option `ttl.freshMs`: expected a number from 1 to 9999999999, found number 0'],
  ])('refuses %o', (options, message) => {
    expect(refusalOf(() => create(options))).toContain(message)
  })

  it('never shows a secret', () => {
    for (const secret of ['hunter2', ['hunter2']]) {
      expect(refusalOf(() => create({ secret }))).not.toContain('hunter2')
    }
  })

  it('refuses what is no object at all', () => {
    expect(refusalOf(() => createCorral(undefined as never))).toContain(
      'option `options`: expected an object, found undefined',
    )
  })

  it('leaves nothing with the application’s meters when it refuses', () => {
    let meters = 0
    const getMeter = () => {
      meters++
      throw new Error('asked for')
    }
    const telemetry = { meterProvider: { getMeter } }
    const encryption = { keys: [] }
    expect(refusalOf(() => create({ telemetry, encryption }))).toContain('option `encryption')
    expect(meters).toBe(0)
  })

  it('of a relay of its own are checked as well', () => {
    const refused = (options?: object) => refusalOf(() => startRelay(options as never))
    expect(refused()).toContain('option `startRelay options`: expected an object of options, found undefined')
    expect(refused({ namespace: 'shop' })).toContain('option `redis`: expected the cache')
    expect(refused({ redis: {}, namespace: 'shop', pollMs: 5 })).toContain('option `pollMs`: expected one of `db`')
  })

  it('says once that it has started, and on what', async () => {
    const events: CorralEvent[] = []
    const corral = create({ onEvent: (event: CorralEvent) => events.push(event) })
    expect(events.filter(({ type }) => type === 'started')).toMatchObject([{ store: 'in-process' }])
    await corral.close()
  })

  it('is not broken by a listener that is async and rejects', async () => {
    const unhandled: unknown[] = []
    const note = (reason: unknown) => unhandled.push(reason)
    process.on('unhandledRejection', note)
    const corral = create({ onEvent: () => Promise.reject(new Error('broken listener')) })
    await corral.close()
    await new Promise(setImmediate)
    process.off('unhandledRejection', note)
    expect(unhandled).toEqual([])
  })

  it('is not broken by a listener that throws', async () => {
    const corral = create({
      onEvent: () => {
        throw new Error('broken listener')
      },
    })
    expect(corral.stats()).toMatchObject({ breaker: 'closed', pendingFences: 0 })
    await corral.close()
  })
})

describe('corral.repository', () => {
  const repository = (options: object, table = 'products') => {
    const corral = create({})
    return corral.repository(table as 'products', { key: 'id', ...options } as never)
  }

  it.each([
    [{ tttl: {} }, 'option `repository.tttl`: expected one of `key`, `unique`'],
    [{ ttl: { freshMs: -1 } }, 'option `ttl.freshMs`: expected a number from 1'],
    [{ ttl: { fresh: 1 } }, 'option `ttl.fresh`: expected one of `freshMs`'],
    [{ schemaVersion: 2 }, 'option `schemaVersion`: expected a string, found number 2'],
    [{ l1: { maxEntries: 1.5 } }, 'option `l1.maxEntries`: expected a whole number'],
    [{ key: undefined }, 'option `key`: expected a column or a list of columns, found undefined'],
    [{ key: [] }, 'option `key`: expected a column or a list of columns, found an array of 0'],
    [{ key: ['id', 7] }, 'option `key`: expected a column or a list of columns, found an array of 2'],
    [{ unique: 'slug' }, 'option `unique`: expected a list of columns, or of lists of columns, found "slug"'],
    [{ unique: [[]] }, 'option `unique`: expected a column or a list of columns, found an array of 0'],
    [{ queryBy: 'slug' }, 'option `queryBy`: expected a list of columns, found "slug"'],
    [{ version: true }, 'option `version`: expected a column, or false, found boolean true'],
    [{ ttl: 60_000 }, 'option `ttl`: expected an object of options, found number 60000'],
    [{ hotKeys: true }, 'option `hotKeys options`: expected an object of options, found boolean true'],
    [{ hotKeys: { share: 0.1 } }, 'option `hotKeys.share`: expected one of `copies`, `copyTtlMs`'],
  ])('refuses %o', (options, message) => {
    expect(refusalOf(() => repository(options))).toContain(message)
  })

  it('refuses what is no table, and no options', () => {
    expect(refusalOf(() => repository({}, ''))).toContain('option `repository`: expected the name of a table, found ""')
    expect(refusalOf(() => create({}).repository('products', undefined as never))).toContain(
      'option `repository options`: expected an object of options, found undefined',
    )
  })

  it('refuses a lookup that was not declared', async () => {
    const products = repository({ unique: ['slug'] }) as unknown as { findBy(lookup: object): Promise<unknown> }
    const outcome = (lookup: unknown) => products.findBy(lookup as object).catch(({ message }) => message)
    const expected = 'key column `findBy`: expected { slug }, found'
    expect(await outcome({ name: 'tea', id: 1 })).toBe(`${expected} { name, id }`)
    expect(await outcome({})).toBe(`${expected} { }`)
    expect(await outcome('tea')).toBe(`${expected} a string of 3`)
    expect(await outcome(new Date())).toBe(`${expected} an object (Date)`)
    expect(await outcome(undefined)).toBe(`${expected} undefined`)
  })
})

describe('a call', () => {
  const corral = create({})
  // biome-ignore lint/suspicious/noExplicitAny: what the compiler refuses is what is tried here
  const products = corral.repository('products', { key: 'id', unique: ['slug'] }) as any
  // biome-ignore lint/suspicious/noExplicitAny: as above
  const any = corral as any
  const query = any.query('all', (on: typeof db) => on.selectFrom('products').selectAll())

  it.each<[string, () => unknown, string]>([
    ['a read with a misspelt option', () => products.find(1, { consistancy: 'primary' }), '`find.consistancy`'],
    ['a read with null for options', () => products.findMany([1], null), '`findMany options`'],
    ['a read with a signal that is none', () => products.findBy({ slug: 'a' }, { signal: true }), '`findBy.signal`'],
    ['a read with a session that is none', () => products.find(1, { session: 'token' }), '`session`'],
    ['a list that is none', () => products.findMany(new Set([1])), '`findMany`: expected an array of ids'],
    ['a text for a list', () => products.findMany('12'), '`findMany`: expected an array of ids, found a string of 2'],
    [
      'a write with an option of another',
      () => products.upsert({ id: 1 }, { expectVersion: '7' }),
      '`upsert.expectVersion`',
    ],
    [
      'several rows at once',
      () => products.insert([{ id: 1 }, { id: 2 }]),
      'an object of columns, found an array of 2',
    ],
    ['no row', () => products.insert(undefined), '`insert values`: expected an object of columns, found undefined'],
    ['a function for a patch', () => products.update(1, () => ({})), 'an object of columns, found a function'],
    [
      'a patch of nothing',
      () => products.update(1, {}),
      '`update values`: expected at least one column to set, found none',
    ],
    ['a patch of what is undefined', () => products.update(1, { slug: undefined }), 'at least one column to set'],
    ['a decision that is none', () => products.mutate(1, { slug: 'a' }), '`mutate work`: expected a function'],
    ['a deletion with a session that is none', () => products.delete(1, { sesion: {} }), '`delete.sesion`'],
    ['a warm-up at a rate that is a text', () => products.warm([1], { ratePerSecond: '5' }), '`warm.ratePerSecond`'],
    ['a warm-up with a misspelt option', () => products.warm([1], { rate: 5 }), '`warm.rate`'],
    ['a warm-up with a signal that is none', () => products.warm([1], { signal: 5 }), '`warm.signal`'],
    ['a transaction of nothing', () => any.transaction(), '`transaction work`: expected a function, found undefined'],
    [
      'a transaction with a misspelt option',
      () => any.transaction(async () => 1, { isolation: 'x' }),
      '`transaction.isolation`',
    ],
    ['a query with a misspelt option', () => query(undefined, { consistancy: 'primary' }), '`query all.consistancy`'],
    [
      'a query in a transaction that is none',
      () => query(undefined, { tx: 5 }),
      '`tx`: expected the transaction given',
    ],
    ['a query in nothing', () => query(undefined, { tx: null }), '`tx`: expected the transaction given'],
    ['a query in a database', () => query(undefined, { tx: db }), '`tx`: expected the transaction given'],
    ['a lock for nothing', () => any.withFencedLock('a', 'b'), '`withFencedLock work`: expected a function'],
    ['a lock with null for options', () => any.withFencedLock('a', async () => 1, null), '`withFencedLock options`'],
    ['a lock of half a character', () => any.withFencedLock('a\ud800', async () => 1), '`withFencedLock.name`'],
  ])('refuses %s', async (_, call, message) => {
    const refused: unknown = await Promise.resolve()
      .then(call)
      .then(
        () => undefined,
        (error) => error,
      )
    expect(isCorralError(refused)).toBe(true)
    expect((refused as Error).message).toContain(message)
  })

  it.each<[string, () => unknown, string]>([
    ['a session with a misspelt option', () => any.session(undefined, { invalide: 'ignore' }), '`session.invalide`'],
    ['a session that is to do what it cannot', () => any.session('x', { invalid: 'never' }), '`session.invalid`'],
    ['a query with null for options', () => any.query('all', () => undefined, null), '`query all options`'],
    ['a number of hot keys that is none', () => any.hotKeys(Number.NaN), '`hotKeys.limit`'],
  ])('refuses %s', (_, call, message) => {
    expect(refusalOf(call)).toContain(message)
  })
})

describe('a transaction', () => {
  const [one, other] = [create({}), create({ namespace: 'elsewhere' })]
  const theirs = other.repository('products', { key: 'id' })
  const all = other.query('all', (on) => on.selectFrom('products').selectAll())

  it('of another instance is refused by a repository and a query: what it writes would be told to the other cache', async () => {
    const refusal = 'option `tx`: expected a transaction of the same instance, found'
    await expect(one.transaction(async (tx) => theirs.in(tx))).rejects.toThrow(refusal)
    await expect(one.transaction((tx) => all(undefined, { tx }))).rejects.toThrow(refusal)
  })

  it('that has ended is refused by both', async () => {
    const { value: tx } = await other.transaction(async (ended) => ({ ended }))
    const refusal = 'option `tx`: expected a transaction that is still running, found'
    expect(refusalOf(() => theirs.in(tx.ended))).toContain(refusal)
    await expect(all(undefined, { tx: tx.ended })).rejects.toThrow(refusal)
  })

  it.each(['find', 'findMany', 'findBy', 'lock', 'insert', 'upsert'])(
    'has no options for %s, which would be passed over',
    async (name) => {
      const outcome = other.transaction(async (tx) => {
        const inside = theirs.in(tx) as unknown as Record<string, (...call: unknown[]) => Promise<unknown>>
        await inside[name]?.({ id: 1 }, { consistency: 'primary' })
      })
      await expect(outcome).rejects.toThrow(`option \`${name}.consistency\`: expected no option inside a transaction`)
    },
  )
})

describe('a read of a table that has not been opened, over a database that does not answer,', () => {
  function open() {
    const clock = new ManualClock()
    const corral = createWithSeams({ db: silentDatabase<Database>(), namespace: 'shop' }, { clock })
    const products = corral.repository('products', { key: 'id', unique: ['slug'], version: false })
    const all = corral.query('all', (on) => on.selectFrom('products').selectAll())
    const reads = (signal?: AbortSignal): Promise<unknown>[] => {
      const options = signal && { signal }
      return [
        products.find(1, options),
        products.findMany([1], options),
        products.findBy({ slug: 'tea' }, options),
        all(undefined, options),
      ]
    }
    return { clock, reads }
  }

  async function outcomes(reads: readonly Promise<unknown>[], until: () => unknown) {
    const settled: unknown[] = []
    for (const read of reads) void read.catch((error) => settled.push(error))
    await until()
    await settle()
    return settled
  }

  it('ends in time', async () => {
    const { clock, reads } = open()
    const found = await outcomes(reads(), () => clock.advance(10_000))
    expect(found.map((error) => (error as { code?: string }).code)).toEqual(Array(4).fill('FILL_TIMEOUT'))
  })

  it('ends with its signal', async () => {
    const { reads } = open()
    const controller = new AbortController()
    const reason = new Error('the client has gone')
    expect(await outcomes(reads(controller.signal), () => controller.abort(reason))).toEqual(Array(4).fill(reason))
  })
})
