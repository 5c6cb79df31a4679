import { sql } from 'kysely'
import { expect, it } from 'vitest'
import { createCorral } from '../../../src/client.js'
import { slotTable, slotTables, stampTable } from '../../../src/migrations.js'
import { runCli } from '../../support/cli-lab.js'
import { asOperator } from '../../support/operator.js'
import { execute } from '../../support/servers/database.js'
import { freshDatabase, freshNamespace } from '../../support/services.js'
import { openShopDatabase } from '../../support/shop-lab.js'

const url = await freshDatabase()

const run = (statement: string) => execute(url, statement)

/** What a config exports, over tables of several kinds. No Redis: this is about the database alone. */
function config() {
  // biome-ignore lint/suspicious/noExplicitAny: its tables are made here
  const db = openShopDatabase(url, 4) as any
  const corral = createCorral({ db, namespace: freshNamespace() })
  const repository = (table: string, options: object) => corral.repository(table as never, options as never)
  repository('items', { key: 'id', unique: ['slug'], queryBy: ['shop'] })
  repository('items', { key: 'id', unique: ['code'] })
  repository('counted', { key: ['a', 'b'], version: 'revision' })
  repository('plain', { key: 'id', version: false })
  repository('parts', { key: 'id' })
  return corral
}

async function check(...options: string[]): Promise<[number, Record<string, string>]> {
  const { exitCode, json } = await runCli(config(), ['migrate', '--check', '--json', ...options])
  const steps = json as { kind: string; entity?: string; state: string }[]
  return [
    exitCode,
    Object.fromEntries(steps.map(({ kind, entity = '', state }) => [`${kind} ${entity}`.trim(), state])),
  ]
}

it('prints what is missing, makes it, and sees what is no longer as it was', async () => {
  await run(`create table items (id int primary key, slug text unique, code text unique, shop int not null);
    create table counted (a int, b text, revision bigint not null, primary key (a, b));
    create table plain (id uuid primary key);
    create table parts (id int primary key) partition by range (id);
    create table parts_1 partition of parts for values from (0) to (100)`)
  const all = [
    'stamp public.items',
    'stamp public.parts',
    'outbox',
    'outbox-table public.items',
    'outbox-table public.counted',
  ]
  const everything = [...all, 'outbox-table public.plain', 'outbox-table public.parts']
  const allAre = (state: string) => Object.fromEntries(everything.map((step) => [step, state]))
  expect(await check()).toEqual([1, allAre('missing')])

  // What is printed is what another tool can run.
  const printed = await runCli(config(), ['migrate'])
  expect(printed.exitCode).toBe(0)
  await run(printed.out)
  expect(await check()).toEqual([0, allAre('installed')])
  expect((await runCli(config(), ['migrate'])).out).toBe('-- nothing is missing\n')
  await run((await runCli(config(), ['migrate', '--all'])).out)
  expect(await check()).toEqual([0, allAre('installed')])
  expect((await check('--locks'))[1]).toMatchObject({ locks: 'missing' })

  // The triggers are the ones that all repositories of the table need together.
  await run(`insert into items (id, slug, code, shop) values (1, 's', 'c', 7)`)
  const db = openShopDatabase(url, 1)
  const { rows } = await sql<{
    lookups: unknown
    column_values: unknown
  }>`select lookups, column_values from corral.outbox where op = 'i'`.execute(db)
  expect(rows).toEqual([
    {
      lookups: [
        ['slug', 's'],
        ['code', 'c'],
      ],
      column_values: ['shop', '7', null],
    },
  ])

  // Disabled, of another release, of a partition that came later, gone.
  await run(`alter table items disable trigger zz_corral_stamp`)
  await run(`alter table counted enable replica trigger zz_corral_outbox_row`)
  await run(`create table parts_2 partition of parts for values from (100) to (200)`)
  await run(`drop trigger zz_corral_outbox_truncate on plain`)
  await sql`create or replace function corral.prune_outbox(keep interval default '10 minutes') returns int language sql as 'select 0'`.execute(
    db,
  )
  expect(await check()).toEqual([
    1,
    {
      ...allAre('installed'),
      'stamp public.items': 'disabled',
      outbox: 'outdated',
      'outbox-table public.counted': 'disabled',
      'outbox-table public.plain': 'outdated',
      'outbox-table public.parts': 'outdated',
    },
  ])
  const applied = await runCli(config(), ['migrate', '--apply', '--locks', '--json'])
  expect(applied.exitCode).toBe(0)
  expect(await check('--locks')).toEqual([0, { ...allAre('installed'), locks: 'installed' }])

  // Their columns gone, or renamed: the triggers are there, and every write fails.
  const wrongItems = { ...allAre('installed'), 'stamp public.items': 'broken', 'outbox-table public.items': 'broken' }
  for (const spoil of ['drop column corral_version cascade', 'rename column corral_version to stamp']) {
    await run(`alter table items ${spoil}`)
    await expect(run(`insert into items (id, shop) values (2, 7)`)).rejects.toThrow('corral_version')
    expect(await check()).toEqual([1, wrongItems])
    expect((await check('--no-outbox'))[1]).toEqual({
      'stamp public.items': 'broken',
      'stamp public.parts': 'installed',
    })
    expect((await runCli(config(), ['migrate', '--apply'])).exitCode).toBe(0)
    expect(await check()).toEqual([0, allAre('installed')])
    await run(`insert into items (id, shop) values (2, 7); delete from items where id = 2`)
  }
  await run('drop trigger zz_corral_stamp_restamp on items')
  await run('alter table items alter corral_version drop not null, alter corral_version type numeric')
  expect(await check()).toEqual([1, { ...allAre('installed'), 'stamp public.items': 'broken' }])
  const refused = await runCli(config(), ['migrate', '--apply'])
  expect(refused).toMatchObject({ exitCode: 4, err: expect.stringContaining('must be bigint not null') })
  await run('alter table items drop column corral_version cascade')
  expect((await runCli(config(), ['migrate', '--apply'])).exitCode).toBe(0)

  // Without tombstones by choice: that is not out of date.
  await stampTable({ table: 'items', key: 'id', tombstones: false }).up(db)
  expect(await check()).toEqual([0, allAre('installed')])

  // Somebody reads the table and does not end: the wait is bounded, and nothing is half done.
  await run('alter table items disable trigger zz_corral_stamp')
  const blocked = await db.transaction().execute(async (tx) => {
    await sql`select * from items`.execute(tx)
    return runCli(config(), ['migrate', '--apply', '--lock-timeout', '100'])
  })
  expect({ exitCode: blocked.exitCode, err: blocked.err }).toEqual({
    exitCode: 4,
    err: expect.stringContaining('version stamp of public.items: nothing of it was made'),
  })
  await db.destroy()
}, 60_000)

it('asks of a slot that its migration knows the table as the repositories do', async () => {
  const slotUrl = await freshDatabase()
  const db = openShopDatabase(slotUrl, 1)
  const items = (options: object) => {
    const relay = { source: 'slot', slot: { connection: {} } } as const
    const corral = asOperator(() =>
      createCorral({ db: openShopDatabase(slotUrl, 4), namespace: freshNamespace(), relay }),
    )
    corral.repository('items' as never, { key: 'id', ...options } as never)
    return corral
  }
  const stateFor = async (options: object) => {
    const { json } = await runCli(items(options), ['migrate', '--check', '--json'])
    return (json as { kind: string; state: string }[]).find(({ kind }) => kind === 'slot-table')?.state
  }
  await sql`create table items (id int primary key, slug text unique, code text unique, shop int not null)`.execute(db)
  await stampTable({ table: 'items', key: 'id' }).up(db)
  const wanted = { unique: ['slug'], queryBy: ['shop'] }
  expect(await stateFor(wanted)).toBe('missing')
  await slotTables().up(db)
  const declare = (options: object) =>
    slotTable({ table: 'items', key: 'id', unique: ['slug'], columns: ['shop'], ...options }).up(db)
  for (const [declared, state] of [
    [{}, 'installed'],
    [{ unique: ['code', 'slug'], columns: ['shop', 'code'] }, 'installed'],
    [{ unique: [] }, 'outdated'],
    [{ columns: [] }, 'outdated'],
    [{ key: ['id', 'shop'] }, 'outdated'],
    [{ version: false }, 'outdated'],
  ] as const) {
    await declare(declared)
    expect(await stateFor(wanted), JSON.stringify(declared)).toBe(state)
  }
  expect((await runCli(items(wanted), ['migrate', '--apply', '--json'])).exitCode).toBe(0)
  expect(await stateFor(wanted)).toBe('installed')
  await sql`delete from corral.slot_tables`.execute(db)
  expect(await stateFor(wanted)).toBe('outdated')
  await db.destroy()
})

it('says what is wrong with a repository instead of printing SQL for it', async () => {
  const corral = createCorral({ db: openShopDatabase(url), namespace: freshNamespace() })
  corral.repository('items' as never, { key: 'shop' } as never)
  const { exitCode, err } = await runCli(corral, ['migrate'])
  expect(exitCode).toBe(3)
  expect(err).toContain('option `items.key`')
})
