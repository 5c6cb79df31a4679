import { beforeEach, describe, expect, it } from 'vitest'
import { OutboxSource } from '../../../src/adapters/postgres/outbox-source.js'
import { RelationDirectory } from '../../../src/adapters/postgres/relation-directory.js'
import { systemClock } from '../../../src/core/clock.js'
import type { ChangeReader } from '../../../src/core/ports.js'
import { outboxTable, outboxTables } from '../../../src/migrations.js'
import { waitUntil } from '../../support/servers/wait.js'
import { StampLab } from './stamp-lab.js'

const lab = StampLab.open()

beforeEach(async () => {
  await lab.makeProducts()
  await lab.stamp()
  await outboxTables().up(lab.db)
  await outboxTable({ table: 'products', key: 'id' }).up(lab.db)
})

const directory = () => new RelationDirectory({ db: lab.db, clock: systemClock, behind: () => {} })
const open = (namespace: string) => OutboxSource.open({ db: lab.db, namespace, pageRows: 2, directory: directory() })

/** Everything up to now: the rows' ids, and a word for a gap and for what concerns the whole table. */
async function drain(reader: ChangeReader): Promise<string[]> {
  const told: string[] = []
  for (;;) {
    const { changes, isGap, hasMore } = await reader.read()
    if (isGap) told.push('gap')
    told.push(...changes.map((change) => (change.kind === 'row' ? String(change.id[0]) : change.kind)))
    if (!hasMore) return told
  }
}

/** The relays of these namespaces do all there is to do. */
async function relay(...sources: OutboxSource[]): Promise<string[][]> {
  const told: string[][] = []
  for (const source of sources) {
    told.push(await drain(source))
    await source.settle()
  }
  return told
}

/** As if so much time had gone by since. */
const pass = (minutes: number) =>
  lab.run(`update corral.outbox set at = at - interval '${minutes} minutes';
    update corral.positions set at = at - interval '${minutes} minutes', began = began - interval '${minutes} minutes'`)

const insert = (id: number) => lab.run(`insert into products values (${id})`)

/** Some minutes of a relay's life, at the end of which it prunes. */
async function live(source: OutboxSource): Promise<void> {
  await pass(11)
  // By a session of its own: others have drawn ids of the turn before.
  await (await lab.session()).run('update products set price = price where id = 0')
  await relay(source)
  await source.prune(600_000)
}

/** What others run on the server may keep it for a while. */
async function untilEmptied(source: OutboxSource, id: number): Promise<void> {
  await waitUntil(`row ${id} is let go`, 15_000, async () => {
    await live(source)
    return (await lab.countOf(`corral.outbox where key = '{${id}}'`)) === 0
  })
}

describe('the first relay of a namespace', () => {
  it('begins with a gap, for others have not waited for it, and has them wait from then on', async () => {
    await insert(0)
    const other = await open('other')
    await relay(other)
    await insert(1)
    await relay(other)
    await untilEmptied(other, 1)

    const first = await open('shop')
    await insert(2)
    for (let turns = 0; turns < 4; turns++) await live(other)
    expect(await lab.countOf(`corral.outbox where key = '{2}'`), 'not settled, but counted').toBe(1)
    const told = await drain(first)
    expect(told[0]).toBe('gap')
    expect(told).toContain('2')
    await first.settle()
    expect(await drain(await open('shop')), 'only once').toEqual([])
  })

  it('leaves the gap to the next one when it ends before it has settled anything', async () => {
    await relay(await open('other'))
    expect(await drain(await open('shop'))).toEqual(['gap', 'bulk'])
    await insert(1)
    const next = await open('shop')
    await insert(2)
    expect(await drain(next)).toEqual(['gap', 'bulk', '1', '2'])
  })
})

describe('a replay', () => {
  it('tells all since the beginning of a namespace that is younger than its window', async () => {
    const shop = await open('shop')
    await insert(1)
    await relay(shop)
    await pass(1)
    await insert(2)
    await relay(shop)
    expect(await drain(await shop.replay(300_000))).toEqual(['bulk', '1', '2'])
  })

  it('finds its window, however little another namespace keeps', async () => {
    const [frugal, shop] = [await open('frugal'), await open('shop')]
    await insert(0)
    await relay(frugal, shop)
    await pass(12)
    await relay(frugal, shop)
    await insert(1)
    await relay(frugal, shop)
    await pass(2)
    for (let turns = 0; turns < 3; turns++) {
      await relay(frugal, shop)
      await frugal.prune(60_000)
      await (await lab.session()).run('insert into products select coalesce(max(id), 0) + 100 from products')
      await pass(1.2)
    }
    expect(await drain(await shop.replay(300_000))).toContain('1')
  })

  it('is a gap where somebody has pruned more than the namespace does', async () => {
    const shop = await open('shop')
    await relay(shop)
    await pass(12)
    await insert(1)
    await relay(shop)
    await pass(2)
    await relay(shop)
    await lab.run(`select corral.prune_outbox('1 minute')`)
    expect(await drain(await shop.replay(300_000))).toEqual(['gap'])
    expect(await drain(await shop.replay(60_000)), 'which it still has').toEqual([])
  })

  it('ends with a gap when what it reads is pruned under it', async () => {
    const shop = await open('shop')
    await relay(shop)
    await pass(12)
    await relay(shop)
    await pass(2)
    for (const id of [1, 2, 3, 4]) await insert(id)
    await relay(shop)
    await pass(4)
    await relay(shop)
    const replay = await shop.replay(300_000)
    expect(await replay.read()).toMatchObject({ isGap: false, hasMore: true, changes: [{ id: ['1'] }, { id: ['2'] }] })
    await untilEmptied(shop, 3)
    expect(await drain(replay)).toEqual(['gap'])
  })
})

it('is pruned for one namespace at a time: each keeps its past positions as long as it says', async () => {
  const [frugal, shop] = [await open('frugal'), await open('shop')]
  for (let minutes = 0; minutes < 15; minutes++) {
    await relay(frugal, shop)
    await pass(1)
  }
  await relay(frugal, shop)
  const oldest = async (namespace: string) => {
    const [row] = await lab.run(
      `select round(extract(epoch from max(at) - min(at)) / 60) as minutes from corral.positions where namespace = '${namespace}'`,
    )
    return Number(row?.minutes)
  }
  await frugal.prune(120_000)
  expect([await oldest('frugal'), await oldest('shop')]).toEqual([2, 15])
  await shop.prune(600_000)
  expect([await oldest('frugal'), await oldest('shop')]).toEqual([2, 10])
})
