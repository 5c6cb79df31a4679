import { readFileSync } from 'node:fs'
import { Redis } from 'ioredis'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { OutboxFeed } from '../../../src/adapters/postgres/outbox-feed.js'
import { pruneTombstones } from '../../../src/adapters/postgres/prune-tombstones.js'
import { systemClock } from '../../../src/core/clock.js'
import { outboxTable, outboxTables, stampTable } from '../../../src/migrations.js'
import { startRelay } from '../../../src/relay-process.js'
import { execute } from '../../support/servers/database.js'
import { waitUntil } from '../../support/servers/wait.js'
import { freshDatabase, redisUrl } from '../../support/services.js'
import { openShopDatabase, ShopLab } from '../../support/shop-lab.js'

/** None of them is a superuser. `clerk` writes by SQL and knows nothing of Corral, `app` uses it, `relay` runs a relay and nothing else. */
const ROLES = ['owner', 'clerk', 'app', 'relay'] as const
type Role = (typeof ROLES)[number]
const nameOf = (role: Role) => `corral_${role}_${process.pid}`

const PRODUCTS = { table: 'products', key: 'id', unique: ['slug', 'slug_key'], columns: ['price'] } as const

let databaseUrl: string
let shop: ShopLab

/** Rights are those of the role from the first statement on, whoever has logged in. */
function as(role: Role): string {
  const url = new URL(databaseUrl)
  url.searchParams.set('options', `-c role=${nameOf(role)}`)
  return url.href
}

const run = (statement: string) => execute(databaseUrl, statement)

/** What the guide says that a role has to be granted, word for word. */
function grantsOf(whom: string): string[] {
  const guide = readFileSync(new URL('../../../docs/guides/outbox.md', import.meta.url), 'utf8')
  const section = guide.split('\n## ').find((part) => part.startsWith('Privileges')) ?? ''
  const item = section.split('\n- ').find((part) => part.startsWith(whom)) ?? ''
  const grants = [...item.matchAll(/`(grant [^`]+)`/g)].map(([, grant]) => String(grant))
  expect(grants, `the guide's list for: ${whom}`).not.toEqual([])
  return grants
}

beforeAll(async () => {
  databaseUrl = await freshDatabase()
  for (const role of ROLES) await run(`create role ${nameOf(role)}`)
  await run(
    `do $$ begin execute format('grant create on database %I to ${nameOf('owner')}', current_database()); end $$`,
  )
  await run(`grant usage, create on schema public to ${nameOf('owner')}`)
  shop = await ShopLab.open(as('owner'))
  const db = openShopDatabase(as('owner'), 1)
  for (const migration of [outboxTables(), outboxTable(PRODUCTS), outboxTables(), outboxTable(PRODUCTS)]) {
    await migration.up(db)
  }
  for (const role of ['clerk', 'app'] as const) {
    await sql.raw(`grant select, insert, update, delete, truncate on products to ${nameOf(role)}`).execute(db)
  }
  for (const grant of grantsOf('Every process')) await sql.raw(`${grant} to ${nameOf('app')}`).execute(db)
  for (const grant of [...grantsOf('Every process'), ...grantsOf('Processes with a relay')]) {
    await sql.raw(`${grant} to ${nameOf('relay')}`).execute(db)
  }
  await db.destroy()
})

afterAll(async () => {
  for (const role of ROLES) await run(`drop owned by ${nameOf(role)} cascade; drop role ${nameOf(role)}`)
})

/** Everything in the schema that somebody else than its owner may use, one line each. */
async function inventory(): Promise<string[]> {
  const rows =
    await run(`select g.grantee::regrole::text || ' ' || what || ' ' || lower(g.privilege_type) as line from (
      select relname::text as what, coalesce(relacl, acldefault(case relkind when 'S' then 's' else 'r' end::"char", relowner)) as acl, relowner as owner
        from pg_class where relnamespace = 'corral'::regnamespace and relkind in ('r', 'p', 'S', 'v')
      union all select proname::text, coalesce(proacl, acldefault('f', proowner)), proowner
        from pg_proc where pronamespace = 'corral'::regnamespace and prosecdef
      union all select 'schema corral', coalesce(nspacl, acldefault('n', nspowner)), nspowner from pg_namespace where nspname = 'corral'
    ) as has, aclexplode(acl) g where g.grantee <> owner order by 1`)
  return rows.map(({ line }) => String(line).replace(/^corral_(\w+)_\d+ /, '$1 '))
}

describe('roles without superuser', () => {
  it('carry a change from the one that writes to the one that reads, by the rights that the guide lists', async () => {
    const [{ supers } = {}] = await run(`select count(*)::int as supers from pg_roles
      where rolsuper and rolname in (${ROLES.map((role) => `'${nameOf(role)}'`).join()})`)
    expect(supers).toBe(0)
    const redis = new Redis(redisUrl())
    const db = openShopDatabase(as('relay'), 3)
    const failures: unknown[] = []
    const relay = startRelay({
      ...{ db, redis, namespace: shop.namespace, relay: { pollMs: 20 } },
      onEvent: (event) => {
        if (event.type === 'relay.failed') failures.push(event.error)
      },
    })
    onTestFinished(async () => {
      await relay.close()
      redis.disconnect()
      await db.destroy()
    })
    await waitUntil('it leads', 5_000, () => relay.role === 'leader')

    const app = shop.start({ databaseUrl: as('app') })
    const clerk = openShopDatabase(as('clerk'), 1)
    onTestFinished(() => clerk.destroy())
    const { row } = await app.products.insert({ slug: 'tea', price: 1 })
    const shows = async (price: number | undefined) => (await app.products.find(row.id))?.price === price
    const cached = async () => {
      app.events.events.length = 0
      return (await shows(1)) && app.events.count('hit') === 1
    }
    await waitUntil('it is cached', 5_000, cached)
    expect(app.corral.stats().durability).toBe('outbox')
    for (const [statement, price] of [
      [`update products set price = 2 where id = ${row.id}`, 2],
      [`delete from products where id = ${row.id}`, undefined],
      [`insert into products (id, slug, price) overriding system value values (${row.id}, 'chai', 3)`, 3],
      ['truncate products', undefined],
    ] as const) {
      await sql.raw(statement).execute(clerk)
      await waitUntil(`${statement} is shown`, 3_000, () => shows(price))
    }
    expect(failures).toEqual([])
  })

  it('let the relay prune the outbox and the tombstones, whatever level transactions have by default', async () => {
    const db = openShopDatabase(as('relay'), 1)
    await sql`set default_transaction_isolation = 'repeatable read'`.execute(db)
    onTestFinished(() => db.destroy())
    const feed = new OutboxFeed({ db, clock: systemClock, namespace: `${shop.namespace}-prune` })
    expect(
      await feed.lead(async (source) => {
        await source.read()
        await source.settle()
        await source.prune(600_000)
      }),
    ).toBe(true)
    await run(`insert into corral.tombstones values ('public.products', array['1000'], 1)`)
    await pruneTombstones(db)
    expect(await run(`select 1 from corral.tombstones where version = 1`)).toEqual([])
  })

  it('have no other rights on anything of Corral', async () => {
    expect(await inventory()).toEqual([
      'app epochs select',
      'app schema corral usage',
      'relay epochs insert',
      'relay epochs select',
      'relay epochs update',
      'relay outbox select',
      'relay positions insert',
      'relay positions select',
      'relay positions update',
      'relay prune_outbox execute',
      'relay schema corral usage',
      'relay tombstones delete',
      'relay tombstones select',
    ])
  })

  it.each<[Role, string]>([
    ['clerk', 'select from corral.epochs'],
    ['app', 'select from corral.outbox'],
    ['app', `insert into corral.outbox (entity, op) values ('public.products', 't')`],
    ['app', `insert into corral.outbox_0 (entity, op) values ('public.products', 't')`],
    ['app', `select nextval('corral.outbox_id')`],
    ['app', 'select corral.prune_outbox()'],
    ['app', `update corral.epochs set number = number + 1`],
    ['app', 'delete from corral.tombstones'],
    ['relay', 'select from products'],
    ['relay', 'delete from corral.outbox'],
    ['relay', 'truncate corral.outbox'],
    ['relay', 'delete from corral.positions'],
    ['relay', 'delete from corral.epochs'],
    ['relay', 'insert into products (price) values (1)'],
  ])('are refused: %s, %s', async (role, statement) => {
    const db = openShopDatabase(as(role), 1)
    onTestFinished(() => db.destroy())
    await expect(sql.raw(statement).execute(db)).rejects.toThrow('permission denied')
  })

  it('may not attach the functions, which have the rights of their owner, to tables of their own', async () => {
    const db = openShopDatabase(as('app'), 1)
    onTestFinished(() => db.destroy())
    const functions = await run(`select oid::regproc::text as name from pg_proc
      where pronamespace = 'corral'::regnamespace and prosecdef and prorettype = 'trigger'::regtype`)
    expect(functions).toHaveLength(3)
    await sql`create temp table mine (like products)`.execute(db)
    for (const { name } of functions) {
      const trigger = `create trigger t after insert on mine for each row execute function ${name}()`
      await expect(sql.raw(trigger).execute(db)).rejects.toThrow('permission denied')
    }
  })

  it('let the owner take everything away again', async () => {
    const db = openShopDatabase(as('owner'), 1)
    onTestFinished(() => db.destroy())
    for (const migration of [outboxTable(PRODUCTS), outboxTables(), stampTable({ table: 'products', key: 'id' })]) {
      await migration.down(db)
    }
    expect(await run(`select 1 from pg_namespace where nspname = 'corral'`)).toEqual([])
  })
})
