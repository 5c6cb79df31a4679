import { setTimeout as sleep } from 'node:timers/promises'
import { Kysely, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import { OutboxSource } from '../../src/adapters/postgres/outbox-source.js'
import { RelationDirectory } from '../../src/adapters/postgres/relation-directory.js'
import { systemClock } from '../../src/core/clock.js'
import { outboxTable, outboxTables } from '../../src/migrations.js'
import { seededChance } from './seeded-chance.js'

export interface RaceResult {
  readonly written: number
  /** Written and committed while one long transaction was open, by the others. */
  readonly writtenMeanwhile: number
  readonly pollers: Readonly<
    Record<
      'snapshots' | 'cursor' | 'gate',
      {
        readonly lost: number
        readonly seenMeanwhile: number
        /** The longest time without anything new, while there was something to see. */
        readonly longestStallMs: number
      }
    >
  >
}

/**
 * Writers with transactions of random length and one that stays open, and three pollers of their outbox beside each other:
 *
 * - `snapshots`: Corral's.
 * - `cursor`: rows with an id higher than the highest seen. Ids are drawn before transactions commit, so late ones are passed by.
 * - `gate`: rows of transactions older than the oldest open one. Nothing is lost, and nothing moves while one is open.
 */
export async function runRace(options: {
  databaseUrl: string
  writers: number
  events: number
  openMs: number
  /** Decides the lengths of transactions. */
  seed?: number
  /** How long nothing new has to come after the writers have ended: the gate waits for transactions of others, such as autovacuum's. Default 2 000. */
  lastWaitMs?: number
}): Promise<RaceResult> {
  const { databaseUrl, writers, events, openMs, seed: start = 1, lastWaitMs = 2_000 } = options
  const db = open(databaseUrl, writers + 5)
  await sql`create table happenings (id int primary key)`.execute(db)
  await outboxTables().up(db)
  await outboxTable({ table: 'happenings', key: 'id', version: false }).up(db)
  // Without the word that its triggers begin with: every row is one that was written.
  await sql`truncate corral.outbox`.execute(db)

  let written = 0
  let nextId = 0
  let writing = true
  const pollers = {
    snapshots: poll(() => writing, lastWaitMs, await snapshots(open(databaseUrl, 1))),
    cursor: poll(() => writing, lastWaitMs, cursor(open(databaseUrl, 1))),
    gate: poll(() => writing, lastWaitMs, gate(open(databaseUrl, 1))),
  }
  const longFirst = nextId + 1
  nextId += 10
  const before = { written: 0, ...seen(pollers) }
  const meanwhile = { written: 0, snapshots: 0, cursor: 0, gate: 0 }
  const long = db.transaction().execute(async (tx) => {
    await sql`insert into happenings select generate_series(${longFirst}::int, ${longFirst + 9}::int)`.execute(tx)
    // What had been committed before is to have been seen.
    await sleep(300)
    Object.assign(before, { written, ...seen(pollers) })
    await sleep(openMs)
    const now = seen(pollers)
    meanwhile.written = written - before.written
    for (const name of ['snapshots', 'cursor', 'gate'] as const) meanwhile[name] = now[name] - before[name]
  })
  const writer = async (seed: number) => {
    const chance = seededChance(seed)
    while (nextId < events) {
      const rows = 1 + Math.floor(chance.number() * 20)
      const first = nextId + 1
      nextId += rows
      await db.transaction().execute(async (tx) => {
        await sql`insert into happenings select generate_series(${first}::int, ${first + rows - 1}::int)`.execute(tx)
        if (chance.number() < 0.3) await sleep(chance.number() * 20)
      })
      written += rows
    }
  }
  await Promise.all([long, ...Array.from({ length: writers }, (_, nth) => writer(start + nth))])
  writing = false
  const found = await Promise.all(
    Object.entries(pollers).map(async ([name, poller]) => {
      await poller.done
      return [name, poller] as const
    }),
  )
  await db.destroy()
  const results = found.map(([name, { ids, stall }]) => [
    name,
    { lost: nextId - ids.size, seenMeanwhile: meanwhile[name as 'gate'], longestStallMs: Math.round(stall.longestMs) },
  ])
  return { written: nextId, writtenMeanwhile: meanwhile.written, pollers: Object.fromEntries(results) }
}

interface Poller {
  next(): Promise<readonly string[]>
  close(): Promise<void>
}

/** Polls until the writers have ended and nothing more comes. */
function poll(isWriting: () => boolean, lastWaitMs: number, poller: Poller) {
  const ids = new Set<string>()
  const stall = { longestMs: 0 }
  let newAtMs = performance.now()
  let writtenAtMs = newAtMs
  const run = async () => {
    for (let isOver = false; !isOver; ) {
      const wasWriting = isWriting()
      if (wasWriting) writtenAtMs = performance.now()
      const found = await poller.next()
      const before = ids.size
      for (const id of found) ids.add(id)
      if (wasWriting) stall.longestMs = Math.max(stall.longestMs, performance.now() - newAtMs)
      if (ids.size > before) newAtMs = performance.now()
      isOver = !wasWriting && performance.now() - Math.max(newAtMs, writtenAtMs) > lastWaitMs
      if (found.length === 0) await sleep(5)
    }
    await poller.close()
  }
  return { ids, stall, done: run() }
}

function seen(pollers: Record<'snapshots' | 'cursor' | 'gate', { ids: Set<string> }>) {
  return { snapshots: pollers.snapshots.ids.size, cursor: pollers.cursor.ids.size, gate: pollers.gate.ids.size }
}

async function snapshots(db: AnyDatabase): Promise<Poller> {
  const directory = new RelationDirectory({ db, clock: systemClock, behind: () => {} })
  const source = await OutboxSource.open({ db, namespace: 'race', pageRows: 200, directory })
  return {
    async next() {
      const { changes } = await source.read()
      return changes.map((change) => (change.kind === 'row' ? String(change.id[0]) : change.kind))
    },
    close: () => db.destroy(),
  }
}

function cursor(db: AnyDatabase): Poller {
  let last = '0'
  return pollerOf(db, async () => {
    const { rows } =
      await sql<Row>`select id::text, xid::text, key[1] as key from corral.outbox where id > ${last}::bigint order by id limit 1000`.execute(
        db,
      )
    last = rows.at(-1)?.id ?? last
    return rows
  })
}

function gate(db: AnyDatabase): Poller {
  let last = { xid: '0', id: '0' }
  return pollerOf(db, async () => {
    const { rows } = await sql<Row>`select id::text, xid::text, key[1] as key from corral.outbox
      where xid < pg_snapshot_xmin(pg_current_snapshot()) and (xid, id) > (${last.xid}::xid8, ${last.id}::bigint)
      order by xid, id limit 1000`.execute(db)
    last = rows.at(-1) ?? last
    return rows
  })
}

interface Row {
  readonly id: string
  readonly xid: string
  readonly key: string
}

function pollerOf(db: AnyDatabase, ask: () => Promise<readonly Row[]>): Poller {
  return { next: async () => (await ask()).map(({ key }) => key), close: () => db.destroy() }
}

// biome-ignore lint/suspicious/noExplicitAny: the tables are made up here
type AnyDatabase = Kysely<any>

function open(connectionString: string, max: number): AnyDatabase {
  return new Kysely({ dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString, max }) }) })
}
