import { sql } from 'kysely'
import type pg from 'pg'
import type { TableFacts } from '../../../src/adapters/postgres/catalog.js'
import type { AnyDatabase } from '../../../src/adapters/postgres/catalog-query.js'
import { OutboxSource } from '../../../src/adapters/postgres/outbox-source.js'
import { RelationDirectory } from '../../../src/adapters/postgres/relation-directory.js'
import { relayLock } from '../../../src/adapters/postgres/relay-lead.js'
import { PostgresRowSource } from '../../../src/adapters/postgres/row-source.js'
import { commitStatus, RowWriter } from '../../../src/adapters/postgres/row-writer.js'
import { readSight } from '../../../src/adapters/postgres/sight.js'
import { type Returning, withReturning } from '../../../src/adapters/postgres/write-statement.js'
import { systemClock } from '../../../src/core/clock.js'
import { Database } from '../../simulation/postgres/database.js'
import { Draw } from '../draw.js'
import { Story } from '../story.js'
import { Counterparts } from './counterparts.js'
import { aged, FOLLOWED, stampedAhead } from './shop.js'
import type { TwinSession, World } from './twin-session.js'

const IDS = [1, 2, 3]
/** One more than there are rows, so that they can move. */
const SKUS = ['sku-1', 'sku-2', 'sku-3', 'sku-4']
const STEPS = 60
const PAGE_ROWS = 4
const NAMESPACE = 'difference'
/** Beyond what any clock says meanwhile: ten years. */
const AHEAD_MS = 315_360_000_000
/** Positions of the outbox grow older by so much at a time: two steps are more than the 5 s for which one is kept up to date. */
const AGE_STEP_MS = 3_000
/** Each well between two sums of steps. */
const REPLAY_WINDOWS_MS = [0, 4_500, 7_500]

/** What a session can be asked, and how often. */
const ACTS = {
  ...{ begin: 20, end: 11, savepoint: 8, undo: 6, insert: 9, upsert: 8, update: 12, moveSku: 6, expect: 6, delete: 8 },
  ...{ mutate: 4, own: 4, load: 12, lookup: 6, version: 4, sight: 6, status: 4, advisory: 9, hangUp: 1 },
  ...{ page: 10, settle: 3, replay: 3, epoch: 2, age: 2 },
} as const
type Act = keyof typeof ACTS

export function newWorld(nowMs: () => number): World {
  return { database: new Database({ nowMs }), counterparts: new Counterparts(), story: new Story() }
}

/** One run, from an empty table to its end. */
export class Walk {
  readonly #seed: number
  readonly #draw: Draw
  readonly #watcher: pg.Client
  readonly #facts: TableFacts
  readonly #writer: RowWriter
  readonly #sessions: readonly TwinSession[]
  readonly #relay: TwinSession
  readonly #world: World
  /** Goes on by itself, so that the model never draws two stamps alike. */
  #nowMs = 0
  /** Ids that a session has written in its transaction. */
  readonly #written = new Map<TwinSession, Set<number>>()
  /** What a session has written last, or wants to. */
  readonly #wanted = new Map<TwinSession, number>()
  /** Savepoints of the transaction that are still there, oldest first. */
  readonly #savepoints = new Map<TwinSession, string[]>()
  #serial = 0
  #source: OutboxSource | undefined

  constructor(
    seed: number,
    watcher: pg.Client,
    facts: TableFacts,
    sessions: readonly TwinSession[],
    relay: TwinSession,
  ) {
    this.#seed = seed
    this.#draw = new Draw(seed)
    this.#watcher = watcher
    this.#facts = facts
    const declared = facts.unique.flat()
    this.#writer = new RowWriter(facts, () => declared)
    this.#sessions = sessions
    this.#relay = relay
    this.#world = newWorld(() => ++this.#nowMs)
  }

  async run(): Promise<Story> {
    const { story } = this.#world
    for (const session of [...this.#sessions, this.#relay]) session.enter(this.#world)
    let isInOrder = true
    try {
      await this.#begin()
      for (let step = 0; step < STEPS && isInOrder; step++) {
        await this.#step()
        await this.#letGoOn()
        isInOrder = story.difference === undefined && this.#isCertain()
      }
      if (isInOrder) await this.#end()
      else await this.#abandon()
    } catch (error) {
      story.differs(`seed ${this.#seed}: ${String((error as Error).stack ?? error)}`)
      await this.#abandon()
    }
    return story
  }

  /** Half of the runs begin with rows whose stamps are ahead of the clock, as after it was set back. */
  async #begin(): Promise<void> {
    if (this.#draw.happens(0.5)) {
      const { database, counterparts } = this.#world
      this.#nowMs += AHEAD_MS
      for (const id of IDS.slice(0, 2)) {
        const tx = database.begin()
        const row = await database.insert(tx, id, SKUS[id - 1] as string, id)
        database.commit(tx)
        await stampedAhead(this.#watcher, row)
        counterparts.pair('version', row.corral_version, row.corral_version, String(id))
      }
      this.#nowMs -= AHEAD_MS
    }
    await this.#relay.ask(async (db) => {
      this.#source = await OutboxSource.open({
        ...{ db, namespace: NAMESPACE, pageRows: PAGE_ROWS },
        directory: new RelationDirectory({ db, clock: systemClock, behind: () => {} }),
      })
    })
  }

  async #step(): Promise<void> {
    const free = this.#sessions.filter(({ isWaiting }) => !isWaiting)
    const session = this.#draw.pick(free)
    if (session === undefined) return
    const wanted = this.#wantedBy(session)
    if (wanted !== undefined && this.#draw.happens(0.1)) {
      // One that has gone, and another under its key, for whom the other has not waited.
      for (const act of ['delete', 'insert', 'end'] as const)
        if (!session.isWaiting) await this.#act(session, act, wanted)
    } else if (wanted !== undefined && this.#draw.happens(0.4)) {
      await this.#act(session, this.#draw.pick(['delete', 'insert', 'update', 'undo', 'undo', 'end'] as const), wanted)
    } else {
      await this.#act(session, this.#draw.weighted(ACTS), this.#id(session))
    }
  }

  /** The row that somebody else waits for. */
  #wantedBy(session: TwinSession): number | undefined {
    const waiting = this.#sessions.find((other) => other !== session && other.isWaiting)
    return session.isOpen && waiting ? this.#wanted.get(waiting) : undefined
  }

  async #act(session: TwinSession, act: Act, id: number): Promise<void> {
    const { counterparts } = this.#world
    const key = [String(id)]
    const price = this.#draw.below(100)
    const sku = this.#draw.happens(0.6) ? (SKUS[id - 1] as string) : this.#draw.pick(SKUS)
    const write = (question: (writer: RowWriter, db: AnyDatabase) => Promise<unknown>) => {
      this.#wanted.set(session, id)
      if (session.isOpen) this.#writtenBy(session).add(id)
      return session.ask((db) => question(this.#writer, db))
    }
    switch (act) {
      case 'begin':
        if (session.isOpen) return
        return session.say(this.#draw.happens(0.45) ? 'start transaction isolation level repeatable read' : 'begin')
      case 'end':
        if (!session.isOpen) return
        this.#forget(session)
        return session.say(this.#draw.happens(0.65) ? 'commit' : 'rollback')
      case 'savepoint': {
        if (!session.isOpen) return
        const name = `corral_${++this.#serial}`
        this.#savepointsOf(session).push(name)
        return session.ask((db) => sql`savepoint ${sql.id(name)}`.execute(db))
      }
      case 'undo':
        return this.#undo(session)
      case 'insert':
        return write((writer, db) => writer.insert(db, { id, sku, price }))
      case 'upsert':
        return write((writer, db) => writer.upsert(db, { id, sku, price }))
      case 'update':
        return write((writer, db) => writer.update(db, key, { price }))
      case 'moveSku':
        return write((writer, db) => writer.update(db, key, this.#draw.happens(0.5) ? { sku } : { sku, price }))
      case 'expect': {
        const version = this.#draw.pick(counterparts.versionsOf(String(id)).slice(-2))
        if (version === undefined) return
        if (this.#draw.happens(0.3)) return write((writer, db) => writer.delete(db, key, version))
        return write((writer, db) => writer.update(db, key, { price }, version))
      }
      case 'delete':
        return write((writer, db) => writer.delete(db, key))
      case 'mutate':
        return write((writer, db) => writer.lock(db, key))
      case 'own':
        return write((_, db) => {
          const query = db.updateTable('products').set({ price }).where('id', '=', id).returningAll()
          // As a statement of the application's own leaves within a transaction that is followed.
          const followed = withReturning(query.toOperationNode(), FOLLOWED) as Returning
          return db.executeQuery(db.getExecutor().compileQuery(followed.node, query.compile().queryId))
        })
      case 'load':
        return session.ask((db) =>
          new PostgresRowSource({ db, facts: this.#facts }).load(IDS.map((each) => [String(each)])),
        )
      case 'lookup': {
        const by = this.#facts.unique[0] as TableFacts['key']
        return session.ask((db) =>
          new PostgresRowSource({ db, facts: this.#facts, by }).load(SKUS.map((each) => [each])),
        )
      }
      case 'version':
        return session.ask((db) => this.#writer.versionOf(db, key))
      case 'sight':
        return session.ask(readSight)
      case 'status': {
        const xid = this.#draw.pick(counterparts.xids)
        return xid === undefined ? undefined : session.ask((db) => commitStatus(db, xid))
      }
      case 'advisory':
        return this.#advisory(session)
      case 'hangUp':
        this.#forget(session)
        this.#world.story.tell(session.name, 'hangs up')
        return session.hangUp()
      default:
        return this.#relays(act)
    }
  }

  /** Goes back to a savepoint, or lets it go. */
  #undo(session: TwinSession): Promise<void> | undefined {
    const names = this.#savepointsOf(session)
    const name = this.#draw.pick(names)
    if (!session.isOpen || name === undefined) return undefined
    if (this.#draw.happens(0.3)) {
      names.splice(names.indexOf(name))
      return session.ask((db) => sql`release savepoint ${sql.id(name)}`.execute(db))
    }
    names.splice(names.indexOf(name) + 1)
    return session.ask((db) => sql`rollback to savepoint ${sql.id(name)}`.execute(db))
  }

  async #advisory(session: TwinSession): Promise<void> {
    const lock = relayLock(`${NAMESPACE} ${this.#draw.pick([1, 2])}`)
    const unlock = sql`select pg_advisory_unlock(${lock}::bigint)`
    const take = sql`
      select case when pg_try_advisory_lock(${lock}::bigint) then 1 else 0 end::text as got`
    const asked = this.#draw.pick([[unlock], [take], [take, take, unlock], [unlock, unlock, take]])
    for (const statement of asked) await session.ask((db) => statement.execute(db))
  }

  async #relays(act: Act): Promise<void> {
    const source = this.#source as OutboxSource
    switch (act) {
      case 'page':
        return this.#relay.ask(() => source.read())
      case 'settle':
        // Between the pages of one poll there is no position to settle.
        return this.#relay.ask(async () => {
          while ((await source.read()).hasMore);
          await source.settle()
        })
      case 'replay': {
        const windowMs = this.#draw.pick(REPLAY_WINDOWS_MS)
        return this.#relay.ask(async () => {
          const replay = await source.replay(windowMs)
          while ((await replay.read()).hasMore);
        })
      }
      case 'epoch': {
        const least = this.#draw.below(4)
        return this.#relay.ask(() => source.epoch(least))
      }
      default:
        this.#world.story.tell('time', `${AGE_STEP_MS} ms pass`)
        this.#nowMs += AGE_STEP_MS
        return aged(this.#watcher, AGE_STEP_MS)
    }
  }

  /** Who waited for somebody that has ended goes on, and who waited for those. */
  async #letGoOn(): Promise<void> {
    for (let hasChanged = true; hasChanged; ) {
      hasChanged = false
      for (const session of this.#sessions) {
        if (!(await session.goOn())) continue
        hasChanged = true
        if (!session.isOpen) this.#forget(session)
      }
    }
  }

  /** Where two wait for one, nobody says who is first: there the run ends, and where the model does not know who has an id. */
  #isCertain(): boolean {
    const { waits } = this.#world.database
    const areOneByOne = new Set(waits.map(({ holder }) => holder)).size === waits.length
    const isVague = this.#sessions.some((session) => session.isVague)
    if (!areOneByOne) this.#world.story.witness('ended where two waited for one')
    if (isVague) this.#world.story.witness('ended where somebody had waited in vain')
    return areOneByOne && !isVague
  }

  /** All transactions end, and then both hold the same and have told the same. */
  async #end(): Promise<void> {
    const { story } = this.#world
    for (let rounds = 0; rounds < this.#sessions.length && story.difference === undefined; rounds++) {
      for (const session of this.#sessions) {
        if (session.isWaiting || !session.isOpen) continue
        await session.say(this.#draw.happens(0.5) ? 'commit' : 'rollback')
        await this.#letGoOn()
      }
    }
    const [session] = this.#sessions as [TwinSession]
    await this.#act(session, 'load', 1)
    await this.#act(session, 'sight', 1)
    await this.#relays('replay')
    if (story.difference !== undefined) return this.#abandon()
    for (const each of this.#sessions) await each.abandon()
  }

  async #abandon(): Promise<void> {
    // Those who hold something first, so that the others need not be cancelled one after the other.
    const all = [...this.#sessions, this.#relay]
    await Promise.all(all.map((session) => session.abandon()))
  }

  /** Mostly one that nobody else has written: waiting is to be the exception. While somebody waits, often one of his: circles are rare enough. */
  #id(session: TwinSession): number {
    const others = this.#sessions.filter((other) => other !== session && other.isOpen)
    const ofWaiting = others.filter(({ isWaiting }) => isWaiting).flatMap((other) => [...this.#writtenBy(other)])
    if (session.isOpen && ofWaiting.length > 0 && this.#draw.happens(0.5)) return this.#draw.pick(ofWaiting)
    const free = IDS.filter((id) => others.every((other) => !this.#writtenBy(other).has(id)))
    return this.#draw.pick(free.length > 0 && this.#draw.happens(0.6) ? free : IDS)
  }

  #writtenBy(session: TwinSession): Set<number> {
    const written = this.#written.get(session) ?? new Set()
    this.#written.set(session, written)
    return written
  }

  #savepointsOf(session: TwinSession): string[] {
    const names = this.#savepoints.get(session) ?? []
    this.#savepoints.set(session, names)
    return names
  }

  #forget(session: TwinSession): void {
    this.#written.delete(session)
    this.#savepoints.delete(session)
  }
}
