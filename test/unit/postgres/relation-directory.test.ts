import { DummyDriver, type QueryResult } from 'kysely'
import { describe, expect, it } from 'vitest'
import { RelationDirectory } from '../../../src/adapters/postgres/relation-directory.js'
import { Background } from '../../../src/engine/background.js'
import { type Deferred, deferred } from '../../support/deferred.js'
import { ManualClock, untimed } from '../../support/manual-clock.js'
import { databaseOver } from '../../support/no-database.js'
import { Recorder } from '../../support/recorder.js'

const NAME = { schema: 'public', name: 'shelves' }

/** A directory over a catalog whose answers are given by hand, in the order they are asked for. It knows the `first`. */
async function open() {
  const asked: Deferred<QueryResult<unknown>>[] = []
  const executeQuery = () => {
    const answer = deferred<QueryResult<unknown>>()
    asked.push(answer)
    return answer.promise as Promise<QueryResult<never>>
  }
  const connection = { executeQuery, streamQuery: () => Promise.reject() as never }
  const db = databaseOver<unknown>(Object.assign(new DummyDriver(), { acquireConnection: async () => connection }))
  const clock = new ManualClock()
  const events = new Recorder()
  const background = new Background(events.emit)
  const directory = new RelationDirectory({ db, clock, behind: (read) => background.run('catalog', read) })
  const tell = async (columns: string | undefined) => {
    await clock.advance(0)
    const relation = {
      entity: 'public.shelves',
      kind: 'r',
      special: false,
      shownInPart: false,
      toldByWriters: false,
      rewrites: false,
      columns,
      methods: [],
    }
    const relations = [columns === undefined ? null : relation]
    const answer = JSON.stringify({ relations, parents: [], reads: [], keys: [], functions: [] })
    asked.shift()?.resolve({ rows: [{ answer }] })
    await clock.advance(0)
  }
  const known = () => directory.recall(NAME)?.columns
  const first = directory.renew(NAME)
  await tell('first')
  await first
  return { asked, clock, directory, events, tell, known }
}

it('waits for what it knows to be read again once that is a minute old, and all wait for one reading', async () => {
  const { asked, clock, directory, tell, known } = await open()
  await untimed(directory.renew(NAME))
  await clock.advance(60_000)
  let renewed = 0
  const waiting = [directory.renew(NAME), directory.renew(NAME)].map((each) => each.then(() => renewed++))
  await clock.advance(999)
  expect([asked.length, renewed, known()]).toEqual([1, 0, 'first'])
  await tell('second')
  await untimed(Promise.all(waiting))
  expect(known()).toBe('second')
  expect(clock.timers).toBe(0)
})

it('reads again behind whoever recalls it before it is so old that they would wait', async () => {
  const { asked, clock, directory, tell, known } = await open()
  await clock.advance(29_999)
  expect([known(), asked.length]).toEqual(['first', 0])
  await clock.advance(1)
  expect(known()).toBe('first')
  await tell('second')
  await clock.advance(59_999)
  await untimed(directory.renew(NAME))
  expect(known()).toBe('second')
})

it('lets writes go on with what it knew where the catalog does not answer, and holds none up a second time', async () => {
  const { asked, clock, directory, tell, known } = await open()
  await clock.advance(60_000)
  const waiting = directory.renew(NAME)
  await clock.advance(1_000)
  await untimed(waiting)
  await untimed(directory.renew(NAME))
  expect([known(), asked.length]).toEqual(['first', 1])
  await clock.advance(60_000)
  const again = directory.renew(NAME)
  await clock.advance(0)
  expect(asked.length, 'after a minute it is asked once more').toBe(2)
  asked.shift()
  await tell('second')
  await untimed(again)
  expect(known()).toBe('second')
})

it('and so where it fails, with an event', async () => {
  const { asked, clock, directory, events, known } = await open()
  await clock.advance(60_000)
  const waiting = directory.renew(NAME)
  await clock.advance(0)
  asked.shift()?.reject(new Error('no'))
  await untimed(waiting)
  expect(known()).toBe('first')
  expect(events.of('background.failed')).toMatchObject([{ task: 'catalog' }])
})

describe('what many ask at once', () => {
  it('is read once, whether it is relations or functions', async () => {
    const { asked, clock, directory, tell } = await open()
    await clock.advance(60_000)
    const finding = [1, 2, 3].map(() => directory.find([NAME]))
    await clock.advance(0)
    expect(asked.length).toBe(1)
    await tell('second')
    for (const found of await Promise.all(finding)) expect(found).toMatchObject([{ columns: 'second' }])

    const judging = [1, 2, 3].map(() => directory.judge(['shop.rebate']))
    await clock.advance(0)
    expect(asked.length).toBe(1)
    await tell('third')
    expect(await Promise.all(judging)).toEqual([['harmless'], ['harmless'], ['harmless']])
  })

  it('is read once more where a reading does not answer within a second, or fails', async () => {
    const { asked, clock, directory, tell } = await open()
    await clock.advance(60_000)
    const ends: string[] = []
    const end = (who: string) => () => void ends.push(who)
    void directory.find([NAME]).then(end('first'), end('first failed'))
    await clock.advance(1_000)
    const second = directory.find([NAME])
    await clock.advance(0)
    const half = asked.shift()
    await tell('second')
    expect(await second).toMatchObject([{ columns: 'second' }])
    half?.reject(new Error('no'))
    await clock.advance(60_000)
    const third = directory.find([NAME])
    await tell('third')
    expect(await third).toMatchObject([{ columns: 'third' }])
    expect(ends).toEqual(['first failed'])
  })

  it('is asked by each where there is no such table: it may have been made since the other asked', async () => {
    const { clock, directory, tell } = await open()
    await clock.advance(60_000)
    const [first, second] = [directory.find([NAME]), directory.find([NAME])]
    await tell(undefined)
    expect(await first).toEqual([undefined])
    await tell('made')
    expect(await second).toMatchObject([{ columns: 'made' }])
  })
})
