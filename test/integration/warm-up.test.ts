import { sql } from 'kysely'
import { describe, expect, it } from 'vitest'
import { stampTable } from '../../src/migrations.js'
import type { WarmProgress } from '../../src/table/warm-up.js'
import { type ShopDatabase, ShopLab, type ShopProcess } from '../support/shop-lab.js'

const lab = await ShopLab.open()
await lab.run(`insert into products (slug, price) select 'p' || n, n from generate_series(1, 2500) n`)

const FAST = { ratePerSecond: 100_000, concurrency: 500 }

/** A process in a namespace where nothing is cached. */
function start(namespace: string): ShopProcess {
  return lab.start({ namespace: `${lab.namespace}-${namespace}`, cache: { deadlineMs: 2_000 } })
}

function loadedIds({ events }: ShopProcess): number {
  return events.of('load').reduce((sum, { ids }) => sum + ids, 0)
}

describe('warm', () => {
  it('fills given ids, of which readers then load none', async () => {
    const process = start('ids')
    const summary = await process.products.warm([1, 2, 3, 4, 999_999], FAST)
    expect(summary).toMatchObject({ done: 5, filled: 5, skipped: 0, failed: 0, total: 5 })
    const before = loadedIds(process)
    expect((await process.products.findMany([1, 2, 3, 4, 999_999])).map((row) => row?.price)).toEqual([
      1,
      2,
      3,
      4,
      undefined,
    ])
    expect(loadedIds(process)).toBe(before)
    expect(await process.products.warm(new Set([1, 2, 5]), FAST)).toMatchObject({ filled: 1, skipped: 2, total: 3 })
  })

  it('fills what a query selects, page by page in the order of the key', async () => {
    const process = start('query')
    const cursors: (string | undefined)[] = []
    const { filled, done, total } = await process.products.warm(
      (db) => db.selectFrom('products').select('id').where('price', '>', 100),
      { ...FAST, onProgress: ({ cursor }) => cursors.push(cursor) },
    )
    expect({ filled, done, total }).toEqual({ filled: 2_400, done: 2_400, total: undefined })
    expect(cursors).toHaveLength(5)
    const [first, , third] = cursors as string[]
    const again = start('query-again')
    const rest = await again.products.warm((db) => db.selectFrom('products').select('id').where('price', '>', 100), {
      ...FAST,
      after: third as string,
    })
    expect(rest.done, 'what came after the third page').toBe(900)
    expect(rest.cursor).toBe(cursors.at(-1))
    await expect(again.products.warm([1], { after: first as string })).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })

  it('says what is wrong with what is no query of keys', async () => {
    const { products } = start('no-query')
    for (const [source, said] of [
      [() => undefined, 'option `warm`: expected a query'],
      [() => 7, 'option `warm`: expected a query'],
      [undefined, 'option `warm`: expected ids'],
      [(db: ShopProcess['db']) => db.selectFrom('products').select('slug'), 'selects every column of the key (id)'],
    ] as const) {
      const error = await products.warm(source as never).catch((thrown) => thrown)
      expect(error).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining(said) })
    }
    const broken = (db: ShopProcess['db']) => db.selectFrom('products').select(sql`nothing`.as('id'))
    await expect(products.warm(broken as never)).rejects.toMatchObject({ code: 'SOURCE_FAILED' })
  })

  it('fills the rows written last, the latest first', async () => {
    const process = start('recent')
    await process.products.update(7, { price: 7_000 })
    await lab.run('update products set price = price where id between 11 and 20')
    const summary = await process.products.warm('recent', { ...FAST, limit: 11, concurrency: 4 })
    expect(summary).toMatchObject({ done: 11, filled: 11 })
    const before = loadedIds(process)
    await process.products.findMany([7, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20])
    expect(loadedIds(process)).toBe(before)
    const next = await process.products.warm('recent', { ...FAST, limit: 100, after: summary.cursor as string })
    expect(next, 'the 100 before them').toMatchObject({ done: 100, filled: 100, skipped: 0 })
  })

  it('does not load a key twice when several processes warm up at once', async () => {
    const processes = ['a', 'b', 'c'].map(() => start('fleet'))
    const query = (db: (typeof processes)[0]['db']) => db.selectFrom('products').select('id')
    const summaries = await Promise.all(
      processes.map(({ products }) => products.warm(query, { ratePerSecond: 20_000, concurrency: 100 })),
    )
    const sum = (part: keyof WarmProgress) => summaries.reduce((total, summary) => total + Number(summary[part]), 0)
    expect(sum('filled')).toBe(2_500)
    expect(sum('skipped')).toBe(5_000)
    expect(sum('failed')).toBe(0)
    expect(processes.reduce((total, process) => total + loadedIds(process), 0)).toBe(2_500)
  })

  it('keeps to its rate, and ends when it is told to', async () => {
    const process = start('rate')
    const abort = new AbortController()
    const startedMs = performance.now()
    let last: WarmProgress | undefined
    const warming = process.products.warm('recent', {
      ratePerSecond: 100,
      signal: abort.signal,
      onProgress: (progress) => {
        last = progress
        if (progress.done >= 100) abort.abort(new Error('enough'))
      },
    })
    await expect(warming).rejects.toThrow('enough')
    expect(performance.now() - startedMs).toBeGreaterThan(850)
    expect(last?.filled).toBe(100)
    expect(loadedIds(process)).toBe(100)
  })

  it('stops when the instance is closed', async () => {
    const process = start('closed')
    const warming = process.products.warm('recent', {
      ratePerSecond: 100,
      onProgress: () => void process.corral.close(),
    })
    await expect(warming).rejects.toMatchObject({ code: 'CLOSED' })
  })

  it('knows composite keys of several types, and tables without a stamp', async () => {
    await lab.run(`create type lane as enum ('slow', 'fast'); 
      create table trips (lane lane, stop char(4), at int, note text, primary key (lane, stop, at));
      insert into trips select l::lane, s, n, 'x' from unnest('{fast,slow}'::text[]) l, unnest('{a,"b "}'::text[]) s, generate_series(1, 600) n`)
    const { corral, db, events } = start('trips')
    await stampTable({ table: 'trips', key: ['lane', 'stop', 'at'] }).up(db as never)
    const trips = corral.repository('trips' as never, { key: ['lane', 'stop', 'at'] as never, l1: false }) as never as {
      warm(source: unknown, options: object): Promise<WarmProgress>
      find(id: object): Promise<unknown>
    }
    const query = (from: typeof db) =>
      from.selectFrom(sql<ShopDatabase['products']>`trips`.as('trips')).selectAll('trips')
    const summary = await trips.warm(query, FAST)
    expect(summary).toMatchObject({ done: 2_400, filled: 2_400, failed: 0 })
    expect(await trips.warm('recent', { ...FAST, limit: 2_400 })).toMatchObject({ done: 2_400, skipped: 2_400 })
    const before = events.of('load').length
    expect(await trips.find({ lane: 'fast', stop: 'b', at: 600 })).toMatchObject({ note: 'x' })
    expect(events.of('load')).toHaveLength(before)
    const unstamped = corral.repository('products', { key: 'id', version: false })
    await expect(unstamped.warm('recent')).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })

  it.each([
    ['a text', 'all'],
    ['a number', 5],
    ['nothing', null],
  ])('refuses %s in place of ids', async (_, source) => {
    await expect(start('refused').products.warm(source as never)).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })

  it.each([
    [{ ratePerSecond: 0 }],
    [{ concurrency: 0 }],
    [{ concurrency: 1.5 }],
    [{ limit: -1 }],
    [{ after: 'query.bm9uc2Vuc2U' }],
    [{ after: 5 }],
    [{ rate: 5 }],
  ])('refuses the options %o', async (options) => {
    await expect(start('refused').products.warm([1], options as never)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    })
  })

  it('fails with the database’s own word when the keys cannot be listed', async () => {
    const { products } = start('broken')
    await expect(
      products.warm(() => sql<{ id: number }>`(select 1 / 0 as id)`.$castTo() as never),
    ).rejects.toMatchObject({
      code: 'SOURCE_FAILED',
    })
    await expect(products.warm([{} as never])).rejects.toMatchObject({ code: 'KEY_INVALID' })
  })
})
