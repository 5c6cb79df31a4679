import { CompiledQuery, type RawBuilder } from 'kysely'
import type { Clock } from '../../core/clock.js'
import type { AnyDatabase } from './catalog-query.js'
import { wrapConnections } from './wrapped-connections.js'

/** How long a statement of a relay may go unanswered: a page is some hundred rows by an index, everything else are single rows. */
const LIMIT_MS = 10_000

/** A statement that says itself how long it may go unanswered. */
interface LimitedQuery extends CompiledQuery {
  readonly limitMs?: number
}

/** The same statement, which may take so long where a relay asks it. */
export function withinLimit(limitMs: number, statement: RawBuilder<unknown>) {
  return {
    execute: (db: AnyDatabase) => {
      const query: LimitedQuery = { ...statement.compile(db), limitMs }
      return db.executeQuery(query)
    },
  }
}

/**
 * Runs `work` on one connection of the pool, where no statement is waited for without end. A host that is gone without a word (no FIN, no RST)
 * leaves connections on which nothing is answered until TCP gives up, a quarter of an hour later. After the first statement that is not
 * answered in time every other fails at once, the connection is cut, and the pool gets it back only when it owes no answer.
 *
 * @param tidy what is to be done before somebody else has the connection. It may fail.
 */
export async function onRelayConnection<Result>(
  pool: AnyDatabase,
  clock: Pick<Clock, 'after'>,
  work: (connection: AnyDatabase) => Promise<Result>,
  tidy: (connection: AnyDatabase) => Promise<void>,
): Promise<Result> {
  let result: Promise<Result> | undefined
  let leave = () => {}
  const left = new Promise<void>((resolve) => {
    leave = resolve
  })
  const released = pool.connection().execute(async (connection) => {
    const raw = connection.withoutPlugins()
    const line = new Line(clock)
    line.socket = await line.ask(LIMIT_MS, () => socketOf(raw)).catch(() => undefined)
    const db = wrapConnections(raw, (own) => ({
      executeQuery: (query: LimitedQuery) => line.ask(query.limitMs ?? LIMIT_MS, () => own.executeQuery(query)),
      streamQuery: (query, chunkSize) => own.streamQuery(query, chunkSize),
    }))
    result = work(db)
    await result.catch(() => {})
    await tidy(db).catch(() => {})
    if (!line.isSilent) return
    leave()
    await line.answered
    // One that could not be cut, and has been answered after all.
    await tidy(raw).catch(() => {})
  })
  await Promise.race([released, left])
  return result as Promise<Result>
}

/** One connection, and what it owes. */
class Line {
  readonly #clock: Pick<Clock, 'after'>
  socket: Socket | undefined
  /** Of the first statement that was not answered in time. */
  #failure: Error | undefined
  /** Resolves when the last statement has been answered, however. */
  answered: Promise<void> = Promise.resolve()

  constructor(clock: Pick<Clock, 'after'>) {
    this.#clock = clock
  }

  get isSilent(): boolean {
    return this.#failure !== undefined
  }

  ask<Answer>(limitMs: number, question: () => Promise<Answer>): Promise<Answer> {
    if (this.#failure) return Promise.reject(this.#failure)
    return new Promise((resolve, reject) => {
      const cancel = this.#clock.after(limitMs, () => {
        this.#failure = new Error(`no answer within ${limitMs} ms; the connection has been given up`)
        reject(this.#failure)
        this.socket?.destroy()
      })
      const answer = question()
      answer.then(resolve, reject)
      this.answered = answer.then(cancel, cancel)
    })
  }
}

interface Socket {
  destroy(): void
}

/** Undefined where another driver than node-postgres is at work. */
async function socketOf(db: AnyDatabase): Promise<Socket | undefined> {
  const question = new SocketQuestion('select 1')
  await db.executeQuery(CompiledQuery.raw(question as unknown as string))
  await question.ended
  return question.socket
}

/**
 * Nobody but node-postgres has the socket. It lets a query send itself (`Submittable`), over the connection that it is given; this one sends
 * nothing. Other drivers, and whoever logs statements, see a text.
 */
class SocketQuestion extends String {
  socket: Socket | undefined
  ended: Promise<void> | undefined
  /** To be called when all is over; the client sets it where its queries have a time limit. */
  callback: (() => void) | undefined
  /** Of the native client, which has nothing to be cut by: that nothing is under way. */
  readonly state = 'end'
  #end = () => {}

  submit({ stream }: { readonly stream?: Socket }): Error {
    this.socket = stream
    this.ended = new Promise((resolve) => {
      this.#end = resolve
    })
    return new Error('nothing was sent')
  }

  /** Called when the client is ready for the next one. */
  handleError(): void {
    this.callback?.()
    this.#end()
  }

  once(_event: string, act: () => void): void {
    this.handleError()
    act()
  }
}
