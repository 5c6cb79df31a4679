import { describe, expect, it } from 'vitest'
import { ConfigError, StaleWriteError } from '../../../src/core/errors.js'
import type { Session } from '../../../src/session.js'
import { checkHistory } from '../../../src/testing/check-history.js'
import { History } from '../../../src/testing/history.js'
import { Observer } from '../../../src/testing/observer.js'

interface Row {
  readonly id: number
  readonly corral_version: string
}

const TABLE = { name: 'products', key: 'id' }
const row = (id: number, version: string): Row => ({ id, corral_version: version })

/** An observer on a clock that counts the looks at it, and a repository that does as it is told. */
function observed(methods: Record<string, (...values: never[]) => unknown>, table: object = {}) {
  const history = new History()
  let nowMs = 0
  const observer = new Observer({ process: 'web-1', history, nowMs: () => ++nowMs })
  return { history, observer, repository: observer.watch(methods, { ...TABLE, ...table }) as never as Watched }
}

type Watched = Record<string, (...values: unknown[]) => Promise<unknown>>

describe('Observer', () => {
  it('notes what a read was asked and what it was shown, and passes the answer on', async () => {
    const { history, repository } = observed({ find: async (id: number) => (id === 1 ? row(1, '7') : undefined) })
    expect(await repository.find!(1)).toEqual(row(1, '7'))
    expect(await repository.find!(2)).toBeUndefined()
    const common = { process: 'web-1', from: undefined, session: undefined, maxStaleMs: undefined, says: undefined }
    expect(history.reads).toEqual([
      { ...common, key: 'products/1', startedMs: 1, endedMs: 2, version: '7' },
      { ...common, key: 'products/2', startedMs: 3, endedMs: 4, version: null },
    ])
  })

  it('notes each of several rows read together', async () => {
    const { history, repository } = observed({ findMany: async () => [row(1, '7'), undefined] })
    await repository.findMany!([1, 2])
    expect(history.reads).toMatchObject([
      { key: 'products/1', version: '7' },
      { key: 'products/2', version: null },
    ])
  })

  it('tells answers from memory from others by the event that is emitted in the course of the call', async () => {
    const hit = { type: 'hit', entity: 'public.products', tier: 'l1', verdict: 'fresh' } as const
    const { history, observer, repository } = observed({
      find: (id: number) => {
        if (id === 1) observer.onEvent(hit)
        return Promise.resolve().then(() => {
          if (id === 2) observer.onEvent(hit)
          return row(id, '7')
        })
      },
    })
    await Promise.all([repository.find!(3), repository.find!(2), repository.find!(1)])
    const from = Object.fromEntries(history.reads.map((read) => [read.key, read.from]))
    expect(from).toEqual({ 'products/1': 'memory', 'products/2': 'memory', 'products/3': undefined })
  })

  it('tells them apart also where memory is asked later, as reads with options do', async () => {
    const hit = { type: 'hit', entity: 'public.products', tier: 'l1', verdict: 'fresh' } as const
    const { history, observer, repository } = observed({
      find: async (id: number) => {
        await Promise.resolve()
        if (id === 1) observer.onEvent(hit)
        return row(id, '7')
      },
    })
    const ask = (id: number) => repository.find!(id, { consistency: 'cached' })
    await Promise.all([ask(2), ask(1)])
    const from = Object.fromEntries(history.reads.map((read) => [read.key, read.from]))
    expect(from).toEqual({ 'products/1': 'memory', 'products/2': undefined })
  })

  it('takes every read with options for one from memory that may be, where reads are not followed', async () => {
    const hit = { type: 'hit', entity: 'public.products', tier: 'l1', verdict: 'fresh' } as const
    const history = new History()
    const observer = new Observer({ process: 'p1', history, followsReads: false })
    const find = async (id: number) => {
      if (id === 1) observer.onEvent(hit)
      await Promise.resolve()
      if (id === 2) observer.onEvent(hit)
      return row(id, '7')
    }
    const repository = observer.watch({ find }, { name: 'products', key: 'id' }) as unknown as {
      find(id: number, options?: object): Promise<unknown>
    }
    const withOptions = [2, 3].map((id) => repository.find(id, { consistency: 'cached' }))
    await Promise.all([...withOptions, repository.find(4), repository.find(1)])
    const from = Object.fromEntries(history.reads.map((read) => [read.key, read.from]))
    expect(from).toEqual({
      ...{ 'products/1': 'memory', 'products/2': 'memory', 'products/3': 'memory' },
      'products/4': undefined,
    })
  })

  it('of several rows takes for answers from memory all that may have been some', async () => {
    const hit = { type: 'hit', entity: 'public.products', tier: 'l1', verdict: 'fresh' } as const
    const { history, observer, repository } = observed({
      peek: (id: number) => (id === 1 ? row(1, '7') : undefined),
      findMany: (ids: number[]) => {
        if (ids.includes(1)) observer.onEvent(hit)
        return Promise.resolve(ids.map((id) => (id === 3 ? undefined : row(id, '7'))))
      },
    })
    await repository.findMany!([1, 2, 3])
    await repository.findMany!([2, 3])
    // An absence in memory is not to be seen from outside.
    expect(history.reads.map(({ from }) => from)).toEqual(['memory', undefined, 'memory', undefined, undefined])
  })

  it('notes session, bound, and what a row says of itself', async () => {
    const says = ({ id }: Row) => ({ key: `products/${id}`, version: '8' })
    const { history, observer, repository } = observed({ find: async () => row(1, '7') }, { says })
    const session = observer.name({ token: '' } as Session, 'user 7')
    await repository.find!(1, { session, consistency: { maxStaleMs: 2_000 } })
    expect(history.reads).toMatchObject([
      { session: 'user 7', maxStaleMs: 2_000, says: { key: 'products/1', version: '8' } },
    ])
    expect(checkHistory(history).counts.label).toBe(1)
  })

  it('notes what writes returned; a deletion by the least stamp that may come after it', async () => {
    const { history, observer, repository } = observed({
      insert: async (values: { id: number }) => ({ row: row(values.id, '7'), version: '7', fence: 'fenced' }),
      update: async () => ({ row: row(1, '8'), version: '8', fence: 'pending' }),
      mutate: async () => undefined,
      delete: async () => ({ row: row(1, '8'), version: '8', fence: 'fenced' }),
    })
    const session = observer.name({ token: '' } as Session, 'user 7')
    await repository.insert!({ id: 1 }, { session })
    await repository.update!(1, {}, { session })
    await repository.mutate!(1, () => undefined)
    await repository.delete!(1, { session })
    const common = { process: 'web-1', key: 'products/1', session: 'user 7' }
    expect(history.writes).toEqual([
      { ...common, startedMs: 1, endedMs: 2, version: '7', absent: false, outcome: 'fenced' },
      { ...common, startedMs: 3, endedMs: 4, version: '8', absent: false, outcome: 'pending' },
      { ...common, startedMs: 6, endedMs: 7, version: '9', absent: true, outcome: 'fenced' },
    ])
  })

  it('notes a write that nobody knows the end of, and none that was refused', async () => {
    const lost = new Error('Connection terminated unexpectedly')
    const refused = Object.assign(new Error('duplicate key'), { severity: 'ERROR', code: '23505' })
    const errors = [lost, refused, new StaleWriteError('products', '1', '2'), new ConfigError('id', 'a number', 'x')]
    const { history, repository } = observed({
      update: async () => {
        throw errors.shift()
      },
    })
    for (const error of [...errors]) await expect(repository.update!(1, {})).rejects.toBe(error)
    expect(history.writes).toMatchObject([{ key: 'products/1', version: null, outcome: 'unknown' }])
  })

  it('passes on what fails without noting a read, and what it does not observe', async () => {
    const repository = {
      find: async () => {
        throw new Error('no database')
      },
      peek: () => row(1, '7'),
      table: 'products',
    }
    const history = new History()
    const watched = new Observer({ process: 'web-1', history }).watch(repository, TABLE)
    await expect(watched.find()).rejects.toThrow('no database')
    expect(watched.peek()).toEqual(row(1, '7'))
    expect(watched.table).toBe('products')
    expect(history.reads).toEqual([])
  })

  it('knows rows of composite keys by their columns, in whatever order they are given', async () => {
    const { history, repository } = observed({ find: async () => undefined }, { key: ['shop', 'sku'] })
    await repository.find!({ sku: 'a', shop: 3 })
    expect(history.reads).toMatchObject([{ key: 'products/3,a' }])
  })

  it('takes the stamp by the name that it has under a plugin for names', async () => {
    const camel = (version: string) => ({ userId: 1, corralVersion: version })
    const { history, repository } = observed(
      {
        insert: async () => ({ row: camel('7'), version: '7', fence: 'fenced' }),
        find: async () => camel('7'),
      },
      { key: 'userId' },
    )
    await repository.insert!({})
    await repository.find!(1)
    expect(history.reads).toMatchObject([{ key: 'products/1', version: '7' }])
    expect(checkHistory(history, { allWritesAreRecorded: true }).violations).toEqual([])
  })

  it('holds nothing against rows that have no stamp', async () => {
    const { history, repository } = observed(
      {
        update: async () => ({ row: { id: 1 }, version: undefined, fence: 'fenced' }),
        find: async () => ({ id: 1 }),
      },
      { version: false },
    )
    await repository.find!(1)
    await repository.update!(1, {})
    await repository.find!(1)
    expect(checkHistory(history, { allWritesAreRecorded: true }).violations).toEqual([])
  })

  it.each([
    ['a key that rows do not have', { key: 'sku' }, 'watch products.key'],
    ['a part of a key that ids do not have', { key: ['id', 'sku'] }, 'watch products.key'],
    ['a stamp that rows do not have', { version: 'stamp' }, 'watch products.version'],
    ['a stamp that is no stamp', { version: 'name' }, 'watch products.version'],
  ])('is not content with %s', async (_, table, option) => {
    const methods = { find: async () => ({ ...row(1, '7'), name: 'Tea' }) }
    const { history, repository } = observed(methods, table)
    const wrong = { code: 'CONFIG_INVALID', message: expect.stringContaining(`\`${option}\``) }
    await expect(repository.find!(1)).rejects.toMatchObject(wrong)
    expect(history.reads).toEqual([])
  })

  it('is not content with a number that is not the stamp the write was told of', async () => {
    const update = async () => ({ row: { ...row(1, '7'), price: 3 }, version: '7', fence: 'fenced' })
    const { repository } = observed({ update }, { version: 'price' })
    await expect(repository.update!(1, {})).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })

  it.each([
    [undefined, TABLE],
    [{ process: 'p1' }, TABLE],
    [{ process: '', history: new History() }, TABLE],
    [{ process: 'p1', history: new History(), follow: true }, TABLE],
    [{ process: 'p1', history: new History(), nowMs: 5 }, TABLE],
    [{ process: 'p1', history: new History(), followsReads: 'no' }, TABLE],
    [{ process: 'p1', history: new History() }, undefined],
    [{ process: 'p1', history: new History() }, { key: 'id' }],
    [{ process: 'p1', history: new History() }, { name: 'products' }],
    [
      { process: 'p1', history: new History() },
      { ...TABLE, key: [] },
    ],
    [
      { process: 'p1', history: new History() },
      { ...TABLE, version: 7 },
    ],
    [
      { process: 'p1', history: new History() },
      { ...TABLE, says: 'id' },
    ],
    [
      { process: 'p1', history: new History() },
      { ...TABLE, vesrion: 'stamp' },
    ],
  ])('refuses the options %o for a table %o', (options, table) => {
    const open = () => new Observer(options as never).watch({ find: async () => undefined }, table as never)
    expect(open).toThrow(ConfigError)
  })

  it('keeps a clock that other processes of the machine share', async () => {
    const history = new History()
    const watched = new Observer({ process: 'web-1', history }).watch({ find: async () => undefined }, TABLE)
    const before = Number(process.hrtime.bigint()) / 1e6
    await watched.find()
    const [read] = history.reads
    expect(read?.startedMs).toBeGreaterThanOrEqual(before)
    expect(read?.endedMs).toBeLessThanOrEqual(Number(process.hrtime.bigint()) / 1e6)
  })
})
