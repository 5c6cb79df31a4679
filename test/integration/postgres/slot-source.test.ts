import { beforeEach, describe, expect, it } from 'vitest'
import { readTable } from '../../../src/adapters/postgres/catalog.js'
import { readDurability } from '../../../src/adapters/postgres/durability.js'
import { SlotStream } from '../../../src/adapters/postgres/slot-stream.js'
import { systemClock } from '../../../src/core/clock.js'
import { isCorralError } from '../../../src/core/errors.js'
import type { SourceChange } from '../../../src/core/ports.js'
import { outboxTable, outboxTables, slotTable, slotTableSql, slotTables, stampTable } from '../../../src/migrations.js'
import { startPostgres } from '../../support/servers/postgres.js'
import { waitUntil } from '../../support/servers/wait.js'
import { ids, leading, readAll, SlotLab, told } from './slot-lab.js'

const lab = await SlotLab.open()

const PRODUCTS = { table: 'products', key: 'id', unique: ['slug'], columns: ['shop'] } as const

/** All values that rows can be looked up by now, or not any more. */
function named(changes: readonly SourceChange[]): string[] {
  return changes
    .flatMap((change) => (change.kind === 'row' ? change.lookups.map(({ value }) => value.join('|')) : []))
    .sort()
}

async function tellsGenerated(): Promise<boolean> {
  const [server] = await lab.run(`select current_setting('server_version_num')::int >= 180000 as "isNew"`)
  return server?.isNew === true
}

beforeEach(async () => {
  const db = await lab.begin()
  await lab.run(
    'create table products (id int primary key, slug text unique, shop int not null default 1, price int not null default 0)',
  )
  await stampTable({ table: 'products', key: 'id' }).up(db)
  await slotTables().up(db)
  await slotTable(PRODUCTS).up(db)
})

it('is relied on where its migration knows rows as the repository does', async () => {
  const db = lab.connect()
  const facts = await readTable(db, PRODUCTS)
  const durability = () => readDurability(db, 'shop', facts)
  expect(await durability()).toBe('slot')
  for (const [other, found] of [
    [{ unique: [] }, 'ttl-only'],
    [{ unique: [['price'], ['slug']] }, 'slot'],
    [{ key: ['id', 'shop'] }, 'ttl-only'],
    [{ version: 'price' }, 'ttl-only'],
    [{ version: false }, 'slot'],
  ] as const) {
    await slotTable({ ...PRODUCTS, ...other }).up(db)
    expect(await durability(), JSON.stringify(other)).toBe(found)
  }
  await lab.run('alter table products rename to goods')
  expect(await readDurability(db, 'shop', await readTable(db, { ...PRODUCTS, table: 'goods' }))).toBe('ttl-only')
})

describe('what the slot tells', () => {
  it('is what the outbox tells, whatever changes and whoever changes it', async () => {
    const db = lab.connect()
    await outboxTables().up(db)
    await outboxTable(PRODUCTS).up(db)
    await lab.run(`create type mood as enum ('glad', 'sad'); create domain code as char(4); create domain flag as bool;
      create table things (code code, flag flag, mood mood, size bigint, uid uuid default gen_random_uuid(), note text, primary key (code, flag));
      create table parts (id int, shop int, slug text, primary key (id, shop)) partition by list (shop);
      create table parts_1 partition of parts for values in (1); create table parts_2 partition of parts for values in (2);
      alter table parts_1 replica identity full; alter table parts_2 replica identity full`)
    const tables = [
      {
        table: 'things',
        key: ['code', 'flag'],
        version: false,
        unique: [['uid'], ['note', 'size']],
        columns: ['mood', 'flag'],
      },
      { table: 'parts', key: ['id', 'shop'], version: false, unique: [['slug', 'shop']], columns: ['shop'] },
    ] as const
    for (const each of tables) {
      await outboxTable(each).up(db)
      await slotTable(each).up(db)
    }
    const statements = [
      `insert into products (id, slug) values (1, 'tea'), (2, null), (3, 'mate')`,
      'update products set price = price + 1',
      `update products set slug = 'chai', shop = 2 where id = 1`,
      'update products set id = 30 where id = 3',
      `begin; insert into products (id) values (7); savepoint a; insert into products (id) values (8); rollback to a; commit`,
      `insert into products (id) values (1) on conflict (id) do update set price = 9`,
      `copy products (id) from program 'echo 5'`,
      `begin; set local session_replication_role = replica; update products set price = 2 where id = 5; commit`,
      `begin; set local timezone = 'Asia/Kolkata'; insert into things values ('ab', true, 'sad', 9007199254740993, default, 'it''s "x"'); commit`,
      `insert into things values ('c', false, null, null, default, repeat('long ', 2000))`,
      `update things set size = 1 where code = 'c'`,
      `update things set flag = not flag, mood = 'glad'`,
      'delete from things',
      `insert into parts values (1, 1, 'x'); insert into parts_2 values (2, 2, 'y')`,
      'update parts set shop = 2 where id = 1',
      'update parts_2 set id = 9 where id = 2',
      'truncate parts_2',
      `create table parts_3 partition of parts for values in (3); insert into parts_3 values (4, 3)`,
      'delete from products where id = 30',
      'truncate products',
    ]
    await leading(lab.feed(), async (slot) => {
      await leading(lab.outboxFeed(), async (outbox) => {
        // The outbox begins with a word on each table, for what was cached before it.
        expect(told(await readAll(outbox)).sort()).toEqual(
          ['parts', 'products', 'things'].map((table) => `bulk public.${table}`),
        )
        for (const statement of statements) {
          await lab.run(statement)
          const [bySlot, byOutbox] = [told(await readAll(slot)), told(await readAll(outbox))]
          expect(bySlot.sort(), statement).toEqual(byOutbox.sort())
          expect(bySlot.length, statement).toBeGreaterThan(0)
        }
      })
    })
  })

  it('is everything that has committed before the read began, and nothing that has not', async () => {
    const open = await lab.session()
    await leading(lab.feed(), async (source) => {
      await readAll(source)
      await open('begin; insert into products (id) values (1)')
      for (let id = 2; id < 60; id++) {
        await lab.run(`${id % 3 ? '' : 'set synchronous_commit = off;'} insert into products (id) values (${id})`)
        expect(ids(await readAll(source))).toEqual([String(id)])
      }
      await open('commit')
      expect(ids(await readAll(source))).toEqual(['1'])
    })
  })

  it('of a large transaction is one event, and the next is told row by row again', async () => {
    await leading(lab.feed({ maxRows: 20 }), async (source) => {
      await readAll(source)
      await lab.run(
        'begin; insert into products (id) select generate_series(1, 15); update products set price = 1; commit',
      )
      expect(told(await readAll(source))).toEqual(['bulk public.products'])
      await lab.run('update products set price = 2')
      expect(await readAll(source)).toHaveLength(15)
    })
  })

  it('of a table that was renamed is one event: under its former name nobody would look for it', async () => {
    await leading(lab.feed(), async (source) => {
      await lab.run('alter table products rename to goods')
      await lab.run('insert into goods (id) values (1)')
      expect(told(await readAll(source))).toEqual(['bulk public.goods'])
      await lab.run('alter table goods rename to products')
      await lab.run('insert into products (id) values (2)')
      expect(told(await readAll(source))).toHaveLength(1)
    })
  })

  it('is what up of slotTable says from the first commit after it on, also of a transaction that was open meanwhile', async () => {
    const db = lab.connect()
    const [inserts, open] = [await lab.session(), await lab.session()]
    await lab.run(`create table parts (id int, shop int, slug text, primary key (id, shop)) partition by list (shop);
      create table parts_1 partition of parts for values in (1)`)
    const parts = { table: 'parts', key: ['id', 'shop'], version: false } as const
    await slotTable({ ...PRODUCTS, unique: [] }).up(db)
    await slotTable(parts).up(db)
    await leading(lab.feed(), async (source) => {
      await inserts(`insert into products (id, slug) values (1, 'a'); insert into parts values (1, 1, 'b')`)
      expect(named(await readAll(source))).toEqual([])
      await open(`begin; insert into products (id, slug) values (2, 'tea'); insert into parts values (2, 1, 'chai')`)
      await slotTable(PRODUCTS).up(db)
      await slotTable({ ...parts, unique: [['slug', 'shop']] }).up(db)
      await inserts(`insert into products (id, slug) values (3, 'mate'); insert into parts values (3, 1, 'maca')`)
      await open('commit')
      expect(named(await readAll(source))).toEqual(['chai|1', 'maca|1', 'mate', 'tea'])
    })
  })

  it('where a lookup is not told of is one event: a column that was renamed, or that the slot has no word of', async () => {
    const db = lab.connect()
    const facts = await readTable(db, PRODUCTS)
    await leading(lab.feed(), async (source) => {
      await readAll(source)
      await lab.run(`alter table products rename slug to handle; insert into products (id, handle) values (1, 'tea')`)
      expect(told(await readAll(source))).toEqual(['bulk public.products'])
      await lab.run('update products set price = 2')
      expect(told(await readAll(source))).toEqual(['bulk public.products'])
      await lab.run('delete from products')
      expect(ids(await readAll(source)), 'a pointer to it is found out').toEqual(['1'])

      // Of generated columns the slot tells from Postgres 18 on, if they are stored.
      await lab.run(`alter table products add slug text generated always as (lower(handle)) stored unique`)
      await lab.run(`insert into products (id, handle) values (2, 'Tea')`)
      const changes = await readAll(source)
      if (await tellsGenerated()) expect(named(changes)).toEqual(['tea'])
      else expect(told(changes)).toEqual(['bulk public.products'])
      expect(await readDurability(db, 'shop', facts)).toBe((await tellsGenerated()) ? 'slot' : 'ttl-only')
    })
  })

  it('comes in pages', async () => {
    await leading(lab.feed({ pageRows: 10 }), async (source) => {
      await readAll(source)
      await lab.run('insert into products (id) select generate_series(1, 25)')
      const page = await source.read()
      expect([page.changes.length, page.hasMore]).toEqual([10, true])
      expect(await readAll(source)).toHaveLength(15)
    })
  })

  it('wakes the one who waits for it', async () => {
    await leading(lab.feed(), async (source) => {
      await readAll(source)
      const woken = new Promise<void>((resolve) => void source.listen?.(resolve))
      await lab.run('insert into products (id) values (1)')
      await woken
      expect(await readAll(source)).toHaveLength(1)
    })
  })
})

describe('the next leader', () => {
  it('goes on where the last has settled, and has the window before that to carry again', async () => {
    await leading(lab.feed(), async (source, first) => {
      expect(first.isGap, 'there was no slot: what came before is not known').toBe(true)
      await readAll(source)
      await source.settle()
      await lab.run('insert into products (id) values (1)')
      await readAll(source)
      await source.settle()
      await lab.run('insert into products (id) values (2)')
      await readAll(source)
    })
    await leading(lab.feed(), async (source, first) => {
      expect(first.isGap).toBe(false)
      expect([...ids(first.changes), ...ids(await readAll(source))]).toEqual(['2'])
      expect(ids(await readAll(await source.replay(60_000)))).toEqual(['1', '2'])
    })
  })

  it('cuts off one that has lost the lead and does not know', async () => {
    await leading(lab.feed(), async (source) => {
      await readAll(source)
      await source.settle()
    })
    const slot = await lab.slot()
    const sink = { take: () => {}, passed: () => {}, onEnd: () => {} }
    const connection = { connectionString: lab.url }
    const old = await SlotStream.open({
      slot: String(slot?.slot_name),
      confirmed: 0n,
      clock: systemClock,
      connection,
      sink,
    })
    await lab.run('insert into products (id) values (1)')
    await leading(lab.feed(), async (source, first) => {
      expect([...first.changes, ...(await readAll(source))]).toHaveLength(1)
    })
    expect(old.failure).toBeDefined()
    await old.close()
  })

  it('misses none of two transactions whose commits follow one another without a byte between them', async () => {
    const [one, other] = [await lab.session(), await lab.session()]
    for (let round = 1; round <= 5; round++) {
      await leading(lab.feed(), async (source) => {
        await readAll(source)
        await source.settle()
        await one(`begin; insert into products (id) values (${round})`)
        await other(`begin; insert into products (id) values (${-round})`)
        await one('commit')
        expect(ids(await readAll(source))).toEqual([String(round)])
        await source.settle()
        await source.prune(0)
        await other('commit')
      })
      await leading(lab.feed(), async (source, first) => {
        expect(first.isGap).toBe(false)
        expect([...ids(first.changes), ...ids(await readAll(source))]).toEqual([String(-round)])
        await source.settle()
      })
    }
  })

  it('keeps what was settled in the slot for so long, and no longer', async () => {
    await leading(lab.feed(), async (source) => {
      await readAll(source)
      await source.settle()
      const before = (await lab.slot())?.confirmed_flush_lsn
      await lab.run('insert into products (id) values (1)')
      await readAll(source)
      await source.settle()
      await source.prune(60_000)
      await source.tend?.()
      expect((await lab.slot())?.confirmed_flush_lsn).toBe(before)
      await source.prune(0)
      await waitUntil('it is confirmed', 2_000, async () => (await lab.slot())?.confirmed_flush_lsn !== before)
    })
  })
})

describe('a gap', () => {
  async function settled(): Promise<string> {
    await leading(lab.feed(), async (source) => {
      await readAll(source)
      await source.settle()
      await lab.run('insert into products (id) values (0)')
      await readAll(source)
      await source.settle()
    })
    return String((await lab.slot())?.slot_name)
  }

  async function isGapNow(feed = lab.feed()): Promise<boolean> {
    let isGap = false
    await leading(feed, async (source, first) => {
      isGap = first.isGap
      await readAll(source)
      await source.settle()
    })
    return isGap
  }

  it('is none where nothing was missed', async () => {
    await settled()
    expect(await isGapNow()).toBe(false)
  })

  it('is a slot that was dropped, and it is made anew', async () => {
    const slot = await settled()
    await lab.run(`select pg_drop_replication_slot('${slot}')`)
    const feed = lab.feed()
    expect(await isGapNow(feed)).toBe(true)
    expect(feed.events.of('relay.slot')).toMatchObject([{ slot, state: 'created' }])
    expect(await isGapNow()).toBe(false)
  })

  it('is a slot that somebody else has moved on', async () => {
    const slot = await settled()
    await lab.run(
      `insert into products (id) values (1); select pg_replication_slot_advance('${slot}', pg_current_wal_lsn())`,
    )
    await lab.run(
      `insert into products (id) values (2); select pg_replication_slot_advance('${slot}', pg_current_wal_lsn())`,
    )
    expect(await isGapNow()).toBe(true)
    expect(await isGapNow()).toBe(false)
  })

  it('is a position that was lost', async () => {
    await settled()
    await lab.run('delete from corral.slot_positions')
    expect(await isGapNow()).toBe(true)
  })

  it('is more than memory holds', async () => {
    await leading(lab.feed({ maxChanges: 50 }), async (source) => {
      await readAll(source)
      await source.settle()
      for (let id = 0; id < 100; id += 10)
        await lab.run(`insert into products (id) select generate_series(${id}, ${id} + 9)`)
      await waitUntil('it has come', 2_000, async () => {
        const { isGap } = await source.read()
        return isGap
      })
      await lab.run('insert into products (id) values (1000)')
      expect(ids(await readAll(source))).toContain('1000')
    })
  })

  it('is more than memory holds also when that comes while a page is read', async () => {
    const writer = await lab.session()
    await leading(lab.feed({ maxChanges: 50 }), async (source) => {
      await readAll(source)
      await source.settle()
      for (let round = 1; round <= 100; round++) {
        await writer(`insert into products (id) select generate_series(${round * 100}, ${round * 100 + 79})`)
        const pages = [await source.read()]
        while (pages.at(-1)?.hasMore) pages.push(await source.read())
        // A relay would leave its tick and settle now.
        const isCarried = pages.some(({ isGap, changes }) => isGap || ids(changes).includes(String(round * 100)))
        expect(isCarried, `round ${round}`).toBe(true)
        await source.settle()
      }
    })
  })

  it('is a window that nobody has any more, in what is carried again', async () => {
    await leading(lab.feed({ maxChanges: 20 }), async (source) => {
      await readAll(source)
      await source.settle()
      for (let id = 0; id < 50; id++) {
        await lab.run(`insert into products (id) values (${id})`)
        await readAll(source)
      }
      await source.settle()
      expect(await (await source.replay(60_000)).read()).toMatchObject({ isGap: true, hasMore: false })
    })
  })
})

describe('a slot that pins more than the server keeps', () => {
  it('is confirmed as far as it was settled when that gets scarce, and made anew with a gap when it is lost', async () => {
    const scarce = await SlotLab.open({ max_slot_wal_keep_size: '64MB', min_wal_size: '32MB', max_wal_size: '32MB' })
    const db = await scarce.begin()
    await scarce.run('create table products (id int primary key); create table noise (filler text)')
    await slotTables().up(db)
    await slotTable({ table: 'products', key: 'id', version: false }).up(db)
    const fill = async (segments: number) => {
      for (let nth = 0; nth < segments; nth++) {
        await scarce.run(`insert into noise select repeat('x', 100) from generate_series(1, 500)`)
        await scarce.run('select pg_switch_wal()')
      }
      await scarce.run('checkpoint')
    }
    const feed = scarce.feed()
    await leading(feed, async (source) => {
      await readAll(source)
      await source.settle()
      const before = (await scarce.slot())?.confirmed_flush_lsn
      await waitUntil('it is confirmed', 10_000, async () => {
        await fill(1)
        await readAll(source)
        await source.settle()
        await source.tend?.()
        return (await scarce.slot())?.confirmed_flush_lsn !== before
      })
      expect((await scarce.slot())?.wal_status).not.toBe('lost')
      expect(feed.events.of('relay.slot').at(-1)?.safeBytes).toBeGreaterThan(0)
    })
    await fill(7)
    expect((await scarce.slot())?.wal_status).toBe('lost')
    await leading(scarce.feed(), async (source, first) => {
      expect(first.isGap).toBe(true)
      await scarce.run('insert into products values (1)')
      expect(ids(await readAll(source))).toEqual(['1'])
    })
  })
})

describe('what is asked for', () => {
  async function refusal(feed = lab.feed()): Promise<string> {
    const error = await feed
      .lead(async () => {})
      .then(
        () => undefined,
        (refused) => refused,
      )
    expect(isCorralError(error, 'CONFIG_INVALID'), String(error)).toBe(true)
    return String(error)
  }

  it('is a replica identity that tells what the relay has to know, of partitions too', async () => {
    await lab.run('alter table products replica identity default')
    expect(await refusal()).toContain('alter table products replica identity full')
    expect(await refusal()).toContain('the former values of shop')
    await lab.run(
      'alter table products alter slug set not null; alter table products replica identity using index products_slug_key',
    )
    expect(await refusal()).toContain('former values of id, shop')
    const db = lab.connect()
    await slotTable(PRODUCTS).up(db)
    await lab.run(`create table parts (id int primary key) partition by range (id); create table parts_1 partition of parts for values from (0) to (9);
      alter table parts_1 replica identity nothing`)
    await slotTable({ table: 'parts', key: 'id', version: false }).up(db)
    await leading(lab.feed(), async () => {})
    await lab.run('alter table parts_1 replica identity nothing')
    expect(await refusal()).toContain('table parts_1 to tell the former values of id')
  })

  it('is a publication, a slot of this database with pgoutput, and the server of the database', async () => {
    await lab.run(`select pg_create_logical_replication_slot('corral_other_plugin', 'test_decoding')`).catch(() => [])
    expect(await refusal(lab.feed({ name: 'corral_other_plugin' }))).toContain('pgoutput')
    await lab.run(`select pg_drop_replication_slot('corral_other_plugin')`)
    await leading(lab.feed(), async () => {})
    const elsewhere = String((await lab.slot())?.slot_name)
    await lab.begin()
    expect(await refusal()).toContain('slotTables')
    await slotTables().up(lab.connect())
    expect(await refusal(lab.feed({ name: elsewhere }))).toContain('another database')
    const other = await startPostgres({ isOwnSystem: true, settings: { wal_level: 'logical' } })
    try {
      expect(await refusal(lab.feed({ connection: { connectionString: other.url } }))).toContain(
        'relay.slot.connection',
      )
      await other.stop()
    } finally {
      await other.stop()
    }
  })

  it('is wal_level = logical', async () => {
    const server = await startPostgres({ own: true, settings: { wal_level: 'replica' } })
    try {
      const url = await server.createDatabase('plain')
      const db = lab.connect(url)
      await slotTables().up(db)
      expect(await refusal(lab.feed({ db, connection: { connectionString: url } }))).toContain('wal_level = logical')
      await db.destroy()
    } finally {
      await server.stop()
    }
  })

  it('is no superuser: a role with REPLICATION reads the slot, another one leads, and the owner has migrated', async () => {
    const [owner, leader, reader] = ['owner', 'leader', 'reader'].map((role) => `corral_${role}_${process.pid}`)
    await lab.begin()
    await lab.run(`create role ${owner} login; create role ${leader} login; create role ${reader} login replication;
      grant create on schema public to ${owner};
      do $$ begin execute format('grant create on database %I to ${owner}', current_database()); end $$`)
    const as = (role: string | undefined) => lab.url.replace(/\/\/[^@/]*@?/, `//${role}@`)
    const db = lab.connect(as(owner))
    const table = slotTable({ table: 'products', key: 'id', version: false, columns: ['shop'] })
    await lab
      .connect(as(owner))
      .schema.createTable('products')
      .addColumn('id', 'integer', (c) => c.primaryKey())
      .addColumn('shop', 'integer')
      .execute()
    for (const migration of [slotTables(), table, slotTables(), table]) await migration.up(db)
    await lab.run(`grant usage on schema corral to ${leader}; grant select on corral.slot_tables to ${leader};
      grant select, insert, update on corral.slot_positions, corral.epochs to ${leader}`)
    const feed = lab.feed({ db: lab.connect(as(leader)), connection: { connectionString: as(reader) } })
    await leading(feed, async (source) => {
      await readAll(source)
      await lab.run('insert into products values (1, 2)')
      expect(ids(await readAll(source))).toEqual(['1'])
      await source.settle()
      expect(await source.epoch(3)).toBe(3)
      await source.tend?.()
      await source.prune(0)
      expect(await source.describe('public.products', ['shop'])).toMatchObject({ roots: ['public.products'] })
    })
    await lab.run(`select pg_drop_replication_slot('${(await lab.slot())?.slot_name}')`)
    await table.down(db)
    await slotTables().down(db)
    await db.destroy()
  })
})

describe('up and down', () => {
  const inventory = () =>
    lab.run(`select 'relation' as what, c.oid::regclass::text as name, c.relreplident::text || coalesce((select indexrelid::regclass::text from pg_index x where x.indrelid = c.oid and x.indisreplident), '') as rest
        from pg_class c where c.oid > 16383 and relkind in ('r', 'p', 'i', 'S')
      union all select 'trigger', tgname, pg_get_triggerdef(oid) from pg_trigger where not tgisinternal
      union all select 'schema', nspname, nspacl::text from pg_namespace where oid > 16383
      union all select 'publication', pubname, '' from pg_publication order by 1, 2`)

  it.each([
    'alter table products replica identity default',
    'alter table products replica identity full',
    'alter table products alter slug set not null; alter table products replica identity using index products_slug_key',
    'alter table products replica identity nothing',
  ])('may each run twice, and down leaves tables as they were: %s', async (statement) => {
    const db = lab.connect()
    await slotTable(PRODUCTS).down(db)
    await slotTables().down(db)
    await stampTable({ table: 'products', key: 'id' }).down(db)
    const parts = { table: 'parts', key: 'id', version: false, columns: ['shop'] } as const
    await lab.run(`${statement}; create table parts (id int primary key, shop int) partition by range (id);
      create table parts_1 partition of parts for values from (0) to (9)`)
    const before = await inventory()
    const table = slotTable({ ...PRODUCTS, version: false })
    for (let time = 0; time < 2; time++) {
      for (const each of [slotTables(), table, slotTable(parts)]) await each.up(db)
    }
    await lab.run(`insert into products (id, slug) values (1, 'a'); update products set price = 2; delete from products;
      insert into parts values (1, 1); update parts set shop = 2; delete from parts`)
    await expect(slotTables().down(db)).rejects.toThrow('is still published')
    for (let time = 0; time < 2; time++) for (const each of [table, slotTable(parts)]) await each.down(db)
    for (let time = 0; time < 2; time++) await slotTables().down(db)
    expect(await inventory()).toEqual(before)
  })

  it('leave a table with generated columns one that can be written, or refuse it and say why', async () => {
    const db = lab.connect()
    await lab.run('alter table products add low text generated always as (lower(slug)) stored')
    await slotTable(PRODUCTS).up(db)
    await lab.run(
      `insert into products (id, slug) values (1, 'A'); update products set price = 1; delete from products`,
    )
    const byGenerated = [
      { ...PRODUCTS, unique: ['slug', 'low'] },
      { ...PRODUCTS, key: ['id', 'low'] },
    ]
    if (!(await tellsGenerated())) {
      for (const each of byGenerated) {
        await expect(slotTable(each).up(db)).rejects.toThrow(
          'the slot is not told of generated column low of public.products',
        )
      }
      return
    }
    for (const each of byGenerated) await slotTable(each).up(db)
    await lab.run('alter publication corral set (publish_generated_columns = none)')
    await expect(slotTable({ ...PRODUCTS, unique: ['low'] }).up(db)).rejects.toThrow('generated column low')
    await slotTables().up(db)
    await slotTable({ ...PRODUCTS, unique: ['low'] }).up(db)
    await lab.run(
      'create table things (id int primary key, shop int, twice int generated always as (2 * shop) virtual)',
    )
    const things = { table: 'things', key: 'id', version: false, columns: ['shop'] } as const
    await expect(slotTable(things).up(db)).rejects.toThrow('table things has a virtual generated column')
    await lab.run('insert into things values (1, 1); update things set shop = 2; delete from things')
  })

  it('of two tables may run at the same time', async () => {
    const [one, other] = [await lab.session(), await lab.session()]
    await lab.run('create table things (id int primary key)')
    const things = slotTableSql({ table: 'things', key: 'id', version: false })
    for (const way of ['up', 'down'] as const) {
      await one('begin')
      for (const statement of slotTableSql(PRODUCTS)[way]) await one(statement)
      const second = Promise.all(things[way].map(other))
      const isHeldUp = `select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`
      if (way === 'up') await waitUntil('the other waits', 5_000, async () => (await lab.run(isHeldUp)).length > 0)
      await one('commit')
      await second
    }
  })

  it('keep the replica identities of tables of one name apart, whatever the search path is', async () => {
    const session = await lab.session()
    await session(`create schema sales; create table sales.orders (id int primary key, shop int);
      create table orders (id int primary key, shop int); alter table orders replica identity nothing`)
    const identities = async () => {
      const rows =
        await session(`select relnamespace::regnamespace::text || ' ' || relreplident::text as each from pg_class
        where relname = 'orders' order by 1`)
      return rows.map(({ each }) => each)
    }
    const run = async (statements: readonly string[], path: string) => {
      await session(`set search_path = ${path}`)
      for (const statement of statements) await session(statement)
    }
    const options = { table: 'orders', key: 'id', version: false, columns: ['shop'] } as const
    const [whole, sales] = [slotTableSql(options), slotTableSql({ ...options, schema: 'sales' })]
    await run(whole.up, 'public')
    await run(sales.up, 'sales, public')
    await run(sales.up, 'public, sales')
    expect(await identities()).toEqual(['public f', 'sales f'])
    await run(sales.down, 'public')
    expect(await identities()).toEqual(['public f', 'sales d'])
    await run(whole.down, 'sales')
    expect(await identities()).toEqual(['public n', 'sales d'])

    // Earlier versions left the schema out where the search path had it.
    await run(sales.up, 'public')
    await run([`update corral.slot_tables set identities = '{"orders": "default"}'`], 'public')
    for (const statements of [sales.up, sales.down]) await run(statements, 'public')
    expect(await identities()).toEqual(['public n', 'sales d'])
  })

  it('leave a slot to nobody', async () => {
    const db = lab.connect()
    await leading(lab.feed(), async (source) => {
      await readAll(source)
      await source.settle()
    })
    await slotTable(PRODUCTS).down(db)
    await expect(slotTables().down(db)).rejects.toThrow('replication slot corral_shop_')
    await lab.run(`select pg_drop_replication_slot('${(await lab.slot())?.slot_name}')`)
    await slotTables().down(db)
    await expect(slotTable(PRODUCTS).up(db)).rejects.toThrow('there is no publication')
  })

  it('share the epochs with an outbox', async () => {
    const db = lab.connect()
    await outboxTables().up(db)
    await lab.run(`insert into corral.epochs (namespace, number) values ('shop', 7)`)
    await slotTable(PRODUCTS).down(db)
    await slotTables().down(db)
    expect(await lab.run('select number::int from corral.epochs')).toEqual([{ number: 7 }])
    await slotTables().up(db)
    await outboxTables().down(db)
    expect(await lab.run('select number::int from corral.epochs')).toEqual([{ number: 7 }])
  })
})
