import type { Clock } from '../../core/clock.js'
import type { AnyDatabase } from './catalog-query.js'
import type { TableName } from './operation-tree.js'
import { placeRelation, type Relation } from './relation-graph.js'
import { readRelations } from './relation-query.js'
import { type FunctionVerdict, judgeByCatalog, judgeByName } from './sql-functions.js'

/** Longest time a relation is taken to be as it was: a partition attached or a trigger made later is noticed after it. */
const KEEP_MS = 60_000
/** From this age on what is used is read again behind its user, so that hardly anybody waits for it. */
const LATE_MS = KEEP_MS / 2
/** Longest time a write is kept waiting by a reading. The one it needs itself would take as long, unless it is the catalog alone that does not answer. */
const WAIT_MS = 1_000
/** More names than any application has; beyond it all are looked up anew. */
const MAX_NAMES = 10_000

/**
 * The catalog as far as cached queries and captured writes need it, kept for a minute: which relation a name means, what
 * kind it is, what it is part of, what changes along with it, and whether a function is harmless.
 */
export class RelationDirectory {
  readonly #db: AnyDatabase
  readonly #clock: Pick<Clock, 'monotonicMs' | 'after'>
  readonly #behind: (read: () => Promise<unknown>) => void
  /** What is being read behind, for all who want to know. */
  readonly #readings = new Map<string, { readonly ended: Promise<void>; readonly sinceMs: number }>()
  /** What is being read by one who waits for it, for all who ask the same meanwhile. */
  readonly #questions = new Map<
    string,
    { readonly answer: Promise<readonly (Relation | undefined)[]>; readonly sinceMs: number }
  >()
  readonly #relations = new Map<string, { readonly relation: Relation; readonly readAtMs: number }>()
  readonly #functions = new Map<
    string,
    { readonly verdict: FunctionVerdict; readonly isThere: boolean; readonly readAtMs: number }
  >()

  constructor(options: {
    db: AnyDatabase
    clock: Pick<Clock, 'monotonicMs' | 'after'>
    /** Runs what nobody waits for. */
    behind: (read: () => Promise<unknown>) => void
  }) {
    this.#db = options.db
    this.#clock = options.clock
    this.#behind = options.behind
  }

  /**
   * One relation for each name, in order; undefined where the database has none.
   *
   * @param db the connection to ask on, for names that are not known yet. Default: the instance's own.
   * @throws SourceError when the database does not answer.
   */
  async find(names: readonly TableName[], db?: AnyDatabase): Promise<readonly (Relation | undefined)[]> {
    const known = names.map((name) => this.#fresh(this.#relations.get(idOf(name))))
    if (known.every((each) => each !== undefined)) return known.map(({ relation }) => relation)
    return db === undefined ? this.#readTogether(names, []) : this.#read(names, [], db)
  }

  /** The same for one connection alone, to which names may mean what they mean to no other: read anew, and not kept. */
  async look(names: readonly TableName[], db: AnyDatabase): Promise<readonly (Relation | undefined)[]> {
    const answer = await readRelations(db, names, [])
    return answer.relations.map((found) => (found ? placeRelation(found, answer) : undefined))
  }

  /** What was last read about a name, without waiting. It is read again behind the caller before it is a minute old. */
  recall(name: TableName): Relation | undefined {
    const known = this.#relations.get(idOf(name))
    if (known === undefined || this.#clock.monotonicMs() - known.readAtMs >= LATE_MS) this.#readBehind(name)
    return known?.relation
  }

  /**
   * Waits until what `recall` tells about a name is no older than a minute. Where the catalog fails or does not answer it stays what it was: whoever
   * writes has better to do than to fail for it. Takes a connection of the instance's own, so not for those who hold one.
   */
  async renew(name: TableName): Promise<void> {
    if (this.#fresh(this.#relations.get(idOf(name))) !== undefined) return
    const { ended, sinceMs } = this.#readBehind(name)
    const leftMs = sinceMs + WAIT_MS - this.#clock.monotonicMs()
    if (leftMs <= 0) return
    await new Promise<void>((resolve) => {
      const cancel = this.#clock.after(leftMs, resolve)
      ended.then(() => {
        cancel()
        resolve()
      })
    })
  }

  /** One verdict for each function, in order. */
  async judge(functions: readonly string[]): Promise<readonly FunctionVerdict[]> {
    const unknown = functions.filter(
      (name) => judgeByName(name) === undefined && this.#fresh(this.#functions.get(name)) === undefined,
    )
    if (unknown.length > 0) await this.#readTogether([], unknown)
    return functions.map((name) => judgeByName(name) ?? this.#functions.get(name)?.verdict ?? 'unknown')
  }

  /**
   * A statement has failed, maybe for want of a function. What no function had the name of need not be a key word, then: it is looked up anew, and by the time
   * that the statement succeeds the function is known.
   */
  forgetMissing(): void {
    for (const [name, { isThere }] of this.#functions) if (!isThere) this.#functions.delete(name)
  }

  #readBehind(name: TableName) {
    const id = idOf(name)
    const known = this.#readings.get(id)
    const sinceMs = this.#clock.monotonicMs()
    // One that is never answered, on a connection that is half open, is not waited for for ever.
    if (known !== undefined && sinceMs - known.sinceMs < KEEP_MS) return known
    let end: () => void = () => {}
    const ended = new Promise<void>((resolve) => {
      end = resolve
    })
    const reading = { ended, sinceMs }
    this.#readings.set(id, reading)
    this.#behind(() =>
      this.#read([name], []).finally(() => {
        if (this.#readings.get(id) === reading) this.#readings.delete(id)
        end()
      }),
    )
    return reading
  }

  /** What many ask at once, as the readers of a query that nobody has called for a minute do, is asked of the catalog once. */
  async #readTogether(
    names: readonly TableName[],
    functions: readonly string[],
  ): Promise<readonly (Relation | undefined)[]> {
    const id = JSON.stringify([names.map(idOf), functions])
    const sinceMs = this.#clock.monotonicMs()
    const known = this.#questions.get(id)
    // One that takes longer may be on a connection that is half open.
    if (known !== undefined && sinceMs - known.sinceMs < WAIT_MS) {
      const relations = await known.answer
      // What is not kept is no answer to anybody else: the table may have been made since that question was sent.
      if (relations.every(isKept)) return relations
      return this.#read(names, functions)
    }
    const question = { answer: this.#read(names, functions), sinceMs }
    this.#questions.set(id, question)
    try {
      return await question.answer
    } finally {
      if (this.#questions.get(id) === question) this.#questions.delete(id)
    }
  }

  async #read(
    names: readonly TableName[],
    functions: readonly string[],
    db = this.#db,
  ): Promise<readonly (Relation | undefined)[]> {
    const answer = await readRelations(db, names, functions)
    const readAtMs = this.#clock.monotonicMs()
    if (this.#relations.size > MAX_NAMES) this.#relations.clear()
    if (this.#functions.size > MAX_NAMES) this.#functions.clear()
    const relations = answer.relations.map((found) => (found ? placeRelation(found, answer) : undefined))
    names.forEach((name, at) => {
      const relation = relations[at]
      if (isKept(relation)) this.#relations.set(idOf(name), { relation, readAtMs })
      else this.#relations.delete(idOf(name))
    })
    for (const name of functions) {
      const bare = name.slice(name.lastIndexOf('.') + 1)
      const facts = answer.functions.find((each) => each.name === bare)
      this.#functions.set(name, { verdict: judgeByCatalog(name, facts), isThere: facts !== undefined, readAtMs })
    }
    return relations
  }

  #fresh<Known extends { readonly readAtMs: number }>(known: Known | undefined): Known | undefined {
    return known && this.#clock.monotonicMs() - known.readAtMs < KEEP_MS ? known : undefined
  }
}

/** A temporary table hides another of its name on one connection only, and a table that is missing may be made. */
function isKept(relation: Relation | undefined): relation is Relation {
  return relation !== undefined && !relation.special
}

function idOf({ schema, name }: TableName): string {
  return JSON.stringify([schema ?? null, name])
}
