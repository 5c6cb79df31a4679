import { DummyDriver, Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from 'kysely'
import { describe, expect, it } from 'vitest'
import { createCorral } from '../../src/client.js'
import { isCorralError } from '../../src/core/errors.js'
import type { CorralEvent } from '../../src/core/events.js'

interface Database {
  products: { id: number; slug: string }
}

const db = new Kysely<Database>({
  dialect: {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (inner) => new PostgresIntrospector(inner),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  },
})

function messageOf(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    expect(isCorralError(error, 'CONFIG_INVALID')).toBe(true)
    return (error as Error).message
  }
  throw new Error('nothing was thrown')
}

const create = (options: object) => createCorral({ db, namespace: 'shop', ...options })

describe('createCorral', () => {
  it.each([
    [{ db: undefined }, 'option `db`: expected a Kysely instance for Postgres, found undefined'],
    [
      { db: 'postgres://localhost' },
      'option `db`: expected a Kysely instance for Postgres, found "postgres://localhost"',
    ],
    [
      { namespace: undefined },
      'option `namespace`: expected 1 to 64 letters, digits, `_`, `.` or `-`, found undefined',
    ],
    [{ namespace: 'a:b' }, 'option `namespace`: expected 1 to 64 letters, digits, `_`, `.` or `-`, found "a:b"'],
    [
      { redis: 'redis://localhost' },
      'option `redis`: expected an ioredis `Redis` or `Cluster` instance, found "redis://localhost"',
    ],
    [{ redis: {} }, 'option `redis`: expected an ioredis `Redis` or `Cluster` instance, found an object (Object)'],
    [
      { redis: { duplicate() {}, options: { keyPrefix: '{a}' } } },
      'option `redis.options.keyPrefix`: expected a prefix without `{`',
    ],
    [{ onEvent: 5 }, 'option `onEvent`: expected a function, found number 5'],
    [{ secret: 'short' }, 'option `secret`: expected a string of at least 16 characters'],
    [{ reddis: 1 }, 'option `reddis`: expected one of `db`, `redis`, `namespace`'],
    [{ ttl: { freshMs: 0 } }, 'option `ttl.freshMs`: expected a number from 1 to 9999999999, found number 0'],
  ])('refuses %o', (options, message) => {
    expect(messageOf(() => create(options))).toContain(message)
  })

  it('never shows a secret', () => {
    expect(messageOf(() => create({ secret: 'hunter2' }))).not.toContain('hunter2')
  })

  it('refuses what is no object at all', () => {
    expect(messageOf(() => createCorral(undefined as never))).toContain(
      'option `options`: expected an object, found undefined',
    )
  })

  it('says once that it has started, and on what', async () => {
    const events: CorralEvent[] = []
    const corral = create({ onEvent: (event: CorralEvent) => events.push(event) })
    expect(events.filter(({ type }) => type === 'started')).toMatchObject([{ store: 'in-process' }])
    await corral.close()
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
  const repository = (options: object) => {
    const corral = create({})
    return corral.repository('products', { key: 'id', ...options } as never)
  }

  it.each([
    [{ tttl: {} }, 'option `repository.tttl`: expected one of `key`, `unique`'],
    [{ ttl: { freshMs: -1 } }, 'option `ttl.freshMs`: expected a number from 1'],
    [{ ttl: { fresh: 1 } }, 'option `ttl.fresh`: expected one of `freshMs`'],
    [{ schemaVersion: 2 }, 'option `schemaVersion`: expected a string, found number 2'],
    [{ l1: { maxEntries: 1.5 } }, 'option `l1.maxEntries`: expected a whole number'],
  ])('refuses %o', (options, message) => {
    expect(messageOf(() => repository(options))).toContain(message)
  })

  it('refuses a lookup that was not declared', async () => {
    const products = repository({ unique: ['slug'] }) as unknown as { findBy(lookup: object): Promise<unknown> }
    await expect(products.findBy({ name: 'tea' })).rejects.toMatchObject({ code: 'KEY_INVALID' })
  })
})
