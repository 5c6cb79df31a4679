import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { AnyDatabase } from '../../../src/adapters/postgres/catalog-query.js'
import type { Database } from '../../simulation/postgres/database.js'
import { PgError } from '../../simulation/postgres/pg-error.js'
import { Session } from '../../simulation/postgres/session.js'
import { settle } from '../../support/manual-clock.js'
import type { Story } from '../story.js'
import { compareAnswers } from './compare-answers.js'
import type { Counterparts } from './counterparts.js'
import { kyselyOn, type Row } from './kysely-on.js'
import { answerOf, codeOf, describe, type Outcome, outcomeOf } from './outcome.js'

/** How long a server may take for a statement that waits for nobody. */
const PATIENCE_MS = 10_000
/** Well beyond the real server's `deadlock_timeout`, which is set to 1 ms: those who wait have looked for a circle by then. */
const CIRCLE_MS = 30

/** One question under way. */
interface Asking {
  isOver: boolean
  readonly over: Promise<void>
}

/**
 * One session on the real server and one on the model. What is asked through `db` goes to both as the same text, and the answers are
 * compared: rows, their number, the code of an error, and whether it has to wait.
 */
export class TwinSession {
  readonly name: string
  readonly db: AnyDatabase
  readonly #url: string
  readonly #watcher: pg.Client
  #database: Database
  #counterparts: Counterparts
  #story: Story
  #client: pg.Client
  #pid = 0
  #model: Session
  #asking: Asking | undefined
  #onWait: (() => void) | undefined
  #hasModelAnswered = true
  #hasRealAnswered = true
  /** Whether it is in a transaction, and how the real server calls that; undefined as long as no answer has told. */
  #isOpen = false
  #xid: string | undefined
  #isVague = false

  private constructor(url: string, watcher: pg.Client, name: string, world: World) {
    this.#url = url
    this.#watcher = watcher
    this.name = name
    this.#database = world.database
    this.#counterparts = world.counterparts
    this.#story = world.story
    this.#client = new pg.Client({ connectionString: url })
    this.#model = this.#newModel()
    this.db = kyselyOn((sql, parameters) => this.run(sql, parameters))
  }

  /** @param watcher asks the real server who waits. */
  static async open(url: string, watcher: pg.Client, name: string, world: World): Promise<TwinSession> {
    const session = new TwinSession(url, watcher, name, world)
    await session.#connect()
    return session
  }

  /** Another run begins, on the same connection. */
  enter({ database, counterparts, story }: World): void {
    this.#database = database
    this.#counterparts = counterparts
    this.#story = story
    this.#model = this.#newModel()
    this.#asking = undefined
    ;[this.#isOpen, this.#xid, this.#isVague] = [false, undefined, false]
  }

  get isWaiting(): boolean {
    return this.#asking !== undefined
  }

  /** It has waited for a row in vain: whether its transaction has an id now depends on what the others did to the row, and the model does not know. */
  get isVague(): boolean {
    return this.#isVague
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Asks, and returns when that is answered or waits for somebody on both sides. */
  async ask(question: (db: AnyDatabase) => Promise<unknown>): Promise<void> {
    const waits = new Promise<void>((resolve) => {
      this.#onWait = resolve
    })
    const asking = { isOver: false, over: Promise.resolve() }
    // What an error is has been compared already; a question that fails for its own reasons is a bug of the test.
    asking.over = question(this.db)
      .then(
        () => undefined,
        (error) => {
          if (!isOfServer(error)) this.#story.differs(`${this.name}: ${String((error as Error).stack ?? error)}`)
        },
      )
      .then(() => {
        asking.isOver = true
      })
    this.#asking = asking
    await Promise.race([asking.over, waits])
    if (asking.isOver) this.#asking = undefined
  }

  say(sql: string): Promise<void> {
    return this.ask(() => this.run(sql, []))
  }

  /** Those who waited go on where others have ended. True: this one did. */
  async goOn(): Promise<boolean> {
    const asking = this.#asking
    if (asking === undefined) return false
    await settle()
    if (!this.#hasModelAnswered) {
      if (this.#hasRealAnswered) this.#story.differs(`${this.name}: the real one has gone on, the model waits`)
      return false
    }
    await this.#within(asking.over, 'the model has gone on, the real one waits')
    this.#asking = undefined
    return true
  }

  /** The connection is gone, and with it what it had in hand; another is made. */
  async hangUp(): Promise<void> {
    this.#model.close()
    this.#model = this.#newModel()
    ;[this.#isOpen, this.#xid] = [false, undefined]
    await this.#client.end()
    await this.#connect()
  }

  /** Ends whatever it is in the middle of, on the real side only: nothing is compared any more. */
  async abandon(): Promise<void> {
    for (let tries = 0; this.#asking !== undefined && !this.#hasRealAnswered && tries < 100; tries++) {
      await this.#watcher.query('select pg_cancel_backend($1)', [this.#pid])
      await sleep(2)
    }
    await this.#client.query('rollback')
    await this.#client.query('select pg_advisory_unlock_all()')
  }

  async close(): Promise<void> {
    await this.#client.end()
  }

  async run(sql: string, parameters: readonly unknown[]): Promise<Row[]> {
    this.#story.calls++
    const told = `${oneLine(sql)} ${parameters.length > 0 ? JSON.stringify(parameters) : ''}`
    const asked = { parameters, xid: this.#xid }
    let [ours, theirs]: (Outcome | undefined)[] = []
    this.#hasModelAnswered = this.#hasRealAnswered = false
    const model = outcomeOf(this.#model.run(sql, this.#parametersOfModel(sql, parameters))).then((outcome) => {
      this.#hasModelAnswered = true
      ours = outcome
      return outcome
    })
    await settle()
    if (ours !== undefined && codeOf(ours) === '40P01') await sleep(CIRCLE_MS)
    const real = this.#askReal(sql, parameters).then((outcome) => {
      this.#hasRealAnswered = true
      theirs = outcome
      return outcome
    })
    if (ours !== undefined) {
      theirs = await this.#within(real, `the model says ${describe(ours)}, the real one waits: ${told}`)
    } else {
      await this.#untilBlocked()
      if (theirs !== undefined) {
        this.#story.differs(`${this.name}: the real one says ${describe(theirs)}, the model waits: ${told}`)
        return answerOf(theirs)
      }
      this.#story.tell(this.name, `${told} waits`)
      this.#story.witness('waited for a lock')
      this.#onWait?.()
      ;[ours, theirs] = await Promise.all([model, real])
      this.#isVague = this.#isOpen && this.#xid === undefined && 'rows' in theirs && theirs.rows.length === 0
    }
    this.#compare(sql, told, asked, theirs, ours as Outcome)
    return answerOf(theirs)
  }

  async #askReal(sql: string, parameters: readonly unknown[]): Promise<Outcome> {
    const outcome = await outcomeOf(this.#client.query(sql, [...parameters]).then(({ rows }) => rows as Row[]))
    // A server tells of an error before it undoes anything; it has when it takes the next statement, which this is.
    if ('error' in outcome) await this.#client.query('').catch(() => {})
    return outcome
  }

  #compare(
    sql: string,
    told: string,
    asked: { parameters: readonly unknown[]; xid: string | undefined },
    theirs: Outcome,
    ours: Outcome,
  ): void {
    const story = this.#story
    story.tell(this.name, `${told} -> ${describe(theirs)}`)
    const bug = 'error' in ours && !(ours.error instanceof PgError) ? ours.error : undefined
    if (bug !== undefined) {
      story.differs(`${this.name}: the model fails: ${bug.stack}`)
      return
    }
    if ('error' in theirs || 'error' in ours) {
      if (codeOf(theirs) === codeOf(ours)) story.witness(`error ${codeOf(ours)}`)
      else story.differs(`${this.name}: the real one says ${describe(theirs)}, the model ${describe(ours)}: ${told}`)
      return
    }
    if (/^(begin|start transaction)/.test(sql)) this.#isOpen = true
    if (/^(commit|rollback)$/.test(sql)) [this.#isOpen, this.#xid] = [false, undefined]
    const written = theirs.rows[0]?.corralxid
    if (written !== undefined && this.#isOpen) this.#xid = String(written)
    const difference = compareAnswers(sql, { ...asked, xid: this.#xid }, theirs.rows, ours.rows, this.#counterparts)
    if (difference !== undefined) {
      story.differs(
        `${this.name}: ${difference}: ${told}\n    real:  ${describe(theirs)}\n    model: ${describe(ours)}`,
      )
    }
  }

  #parametersOfModel(sql: string, parameters: readonly unknown[]): unknown[] {
    const own = [
      ['xid', /\$(\d+)::xid8/g],
      ['snapshot', /\$(\d+)::pg_snapshot/g],
      ['outbox id', /::xid8, \$(\d+)::bigint/g],
      ['version', /"corral_version" = \$(\d+)/g],
    ] as const
    const translated = [...parameters]
    for (const [kind, pattern] of own) {
      for (const [, at] of sql.matchAll(pattern)) {
        const value = parameters[Number(at) - 1]
        if (value === null) continue
        translated[Number(at) - 1] = this.#counterparts.ofModel(kind, String(value), rowIdIn(sql, parameters))
      }
    }
    return translated
  }

  async #untilBlocked(): Promise<void> {
    for (const startedMs = performance.now(); performance.now() - startedMs < PATIENCE_MS; ) {
      const { rows } = await this.#watcher.query('select cardinality(pg_blocking_pids($1)) as by', [this.#pid])
      if (this.#hasRealAnswered || rows[0]?.by > 0) return
      await sleep(1)
    }
  }

  async #within<Value>(promise: Promise<Value>, otherwise: string): Promise<Value> {
    let timer: ReturnType<typeof setTimeout> | undefined
    const tooLate = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.#story.differs(`${this.name}: ${otherwise}`)
        reject(new Waits())
      }, PATIENCE_MS)
    })
    try {
      return await Promise.race([promise, tooLate])
    } finally {
      clearTimeout(timer)
    }
  }

  async #connect(): Promise<void> {
    this.#client = new pg.Client({ connectionString: this.#url })
    this.#client.on('error', () => {})
    await this.#client.connect()
    const { rows } = await this.#client.query(
      `select pg_backend_pid() as pid, set_config('deadlock_timeout', '1ms', false)`,
    )
    this.#pid = rows[0].pid
  }

  #newModel(): Session {
    return new Session(this.#database, this.name, undefined, false)
  }
}

/** What the sessions of one run have in common. */
export interface World {
  readonly database: Database
  readonly counterparts: Counterparts
  readonly story: Story
}

/** The real server waits where it should not. */
class Waits extends Error {
  readonly code = 'waits'
}

/** The SDK's own errors have the server's as their cause. */
function isOfServer(error: unknown): boolean {
  const { code, cause } = error as { code?: string; cause?: { code?: string } }
  return [code, cause?.code].some((each) => each === 'waits' || /^[0-9A-Z]{5}$/.test(each ?? ''))
}

/** The row that a statement is about whose stamp it names. */
function rowIdIn(sql: string, parameters: readonly unknown[]): string {
  const at = /"id" = \$(\d+)/.exec(sql)?.[1]
  return String(parameters[Number(at) - 1])
}

function oneLine(sql: string): string {
  const text = sql.replaceAll(/\s+/g, ' ').trim()
  return text.length > 200 ? `${text.slice(0, 200)}…` : text
}
