import { catalogAnswer } from './catalog.js'
import type { Database } from './database.js'
import { PgError } from './pg-error.js'
import { parseSnapshot, printSnapshot, type Snapshot } from './snapshot.js'
import type { Row } from './table.js'
import type { Transaction } from './transaction.js'

type Parameters = readonly unknown[]
export type Answer = Record<string, unknown>[]

/** What a session sees: the primary as it is, or a standby that has replayed so many commits. */
export interface Replica {
  readonly commit: number
}

/**
 * One connection as the server has it: runs the statements that the SDK sends, recognised by their text. A statement that is not known is a
 * fault of the simulator and ends the run: it must not pass for an error of the database.
 */
export class Session {
  readonly #database: Database
  readonly #replica: Replica | undefined
  readonly #isAltered: boolean
  readonly #by: string
  #tx: Transaction | undefined
  #isClosed = false

  /**
   * @param by whose it is.
   * @param isAltered the columns are in another order, as after a migration.
   */
  constructor(database: Database, by: string, replica: Replica | undefined, isAltered: boolean) {
    this.#database = database
    this.#by = by
    this.#replica = replica
    this.#isAltered = isAltered
  }

  /** @throws PgError as the server would. */
  async run(sql: string, parameters: Parameters): Promise<Answer> {
    if (this.#isClosed) throw new PgError('57P01', 'terminating connection due to administrator command')
    if (sql === 'rollback') {
      this.#end((tx) => this.#database.rollback(tx))
      return []
    }
    const rollbackTo = /^rollback to savepoint "(\w+)"/.exec(sql)
    if (rollbackTo) {
      if (this.#tx) this.#database.rollbackTo(this.#tx, rollbackTo[1] as string)
      return []
    }
    if (sql === 'commit') {
      this.#end((tx) => (tx.hasFailed ? this.#database.rollback(tx) : this.#database.commit(tx)))
      return []
    }
    const tx = this.#tx
    if (tx?.hasFailed) throw new PgError('25P02', 'current transaction is aborted')
    try {
      return await this.#statement(sql, parameters)
    } catch (error) {
      if (tx) this.#database.fail(tx)
      throw error
    }
  }

  /** The connection is gone: what is not committed is rolled back, and the session's locks are free. */
  close(): void {
    this.#isClosed = true
    this.#end((tx) => this.#database.rollback(tx))
    for (const [name, { holder }] of this.#database.advisory) {
      if (holder === this) this.#database.advisory.delete(name)
    }
  }

  #end(act: (tx: Transaction) => void): void {
    const tx = this.#tx
    this.#tx = undefined
    if (tx !== undefined) act(tx)
  }

  async #statement(sql: string, parameters: Parameters): Promise<Answer> {
    if (/^(begin|start transaction)/.test(sql)) {
      this.#tx = this.#database.begin(this.#by, sql.includes('repeatable read'))
      return []
    }
    const [, mark, name = ''] = /^(savepoint|release savepoint) "(\w+)"/.exec(sql) ?? []
    if (mark === 'savepoint') this.#tx?.savepoint(name)
    if (mark === 'release savepoint') this.#tx?.release(name)
    if (mark !== undefined) return []
    // The first statement of a transaction that reads decides what a repeatable one sees.
    this.#database.seenBy(this.#tx)
    if (sql === 'select 1') return []
    const answer = this.#row(sql, parameters) ?? this.#sight(sql, parameters) ?? this.#relay(sql, parameters)
    const known = (await answer) ?? this.#write(sql, parameters) ?? catalogAnswer(sql, this.#isAltered)
    const found = await known
    if (found === undefined) throw new Error(`the simulated Postgres does not know this statement: ${sql}`)
    return found
  }

  /** Loads and looks at rows. */
  #row(sql: string, parameters: Parameters): Answer | undefined | Promise<Answer | undefined> {
    const database = this.#database
    if (sql.includes('as corralsnapshot')) return this.#load(sql, String(parameters[0]))
    if (sql.startsWith('select * from "products" where "id" = $1 for update')) {
      return this.#writing(async (tx) => rowsOf(await database.lockRow(tx, Number(parameters[0]))))
    }
    if (sql.startsWith('select "corral_version"::text as "corralversion" from "products"')) {
      const row = database.find(Number(parameters[0]), database.seenBy(this.#tx), this.#tx)
      return row ? [{ corralversion: row.corral_version }] : []
    }
    if (sql.startsWith('select *, "id"::text as "corralkey", "corral_version"::text as "corralversion"')) {
      return this.#kept(sql, Number(parameters[0]), parameters[1])
    }
    return undefined
  }

  /** @param xid of whoever has to have written it. */
  #kept(sql: string, id: number, xid: unknown): Answer {
    const upto = this.#database.seenBy(this.#tx)
    const row = this.#database.find(id, upto, this.#tx)
    const isTheirs = xid === undefined || String(this.#database.writerOf(id, upto, this.#tx)) === xid
    return row && isTheirs ? [{ ...row, ...textsIn(sql, row) }] : []
  }

  #load(sql: string, ids: string): Answer {
    const database = this.#database
    const commit = this.#replica ? this.#replica.commit : database.seenBy(this.#tx)
    const snapshot = this.#replica ? database.standbySnapshot(commit) : database.sightOf(this.#tx)
    const beside = {
      corralsnapshot: printSnapshot(snapshot),
      corralsource: this.#replica ? 'standby' : 'primary',
      // It has no policies.
      ...(sql.includes('as corralshownto') && { corralshownto: null }),
    }
    const wanted = JSON.parse(`[${ids.slice(1, -1)}]`) as string[]
    const bySku = sql.includes('"corralrow"."sku" = any')
    const isStamped = !sql.includes('null::text as "corralversion"')
    const found = wanted.flatMap((text) => {
      if (bySku) return database.rowsBySku(text, commit, this.#tx)
      const row = database.find(Number(text), commit, this.#tx)
      return row ? [row] : []
    })
    if (found.length === 0) return [{ ...beside, corralkey: null, corralversion: null, ...NO_ROW }]
    return found.map((row) => ({
      ...beside,
      corralkey: bySku ? row.sku : String(row.id),
      corralversion: isStamped ? row.corral_version : null,
      ...row,
    }))
  }

  #sight(sql: string, parameters: Parameters): Answer | undefined {
    const database = this.#database
    if (sql.startsWith('select pg_current_snapshot()::text as snapshot')) {
      const snapshot = this.#replica ? database.standbySnapshot(this.#replica.commit) : database.sightOf(this.#tx)
      return [{ snapshot: printSnapshot(snapshot), source: this.#replica ? 'standby' : 'primary' }]
    }
    if (sql.startsWith('select pg_xact_status')) return [{ status: database.outcomeOf(Number(parameters[0])) }]
    return undefined
  }

  #write(sql: string, parameters: Parameters): Promise<Answer> | undefined {
    const database = this.#database
    const insert = /^insert into "products" \(([^)]*)\) values/.exec(sql)
    if (insert) {
      const columns = (insert[1] as string).split(', ').map((column) => column.slice(1, -1))
      const value = (column: string) => parameters[columns.indexOf(column)]
      const given = [Number(value('id')), String(value('sku')), Number(value('price'))] as const
      const isUpsert = sql.includes('on conflict')
      return this.#writing(async (tx) => {
        const row = await (isUpsert ? database.upsert(tx, ...given) : database.insert(tx, ...given))
        return this.#returned(sql, tx, row)
      })
    }
    const update = /^update "products" set (.*) where "id" = \$(\d+)/.exec(sql)
    if (update) {
      const patch: { sku?: string; price?: number } = {}
      for (const [, column, at] of (update[1] as string).matchAll(/"(\w+)" = \$(\d+)/g)) {
        const value = parameters[Number(at) - 1]
        if (column === 'price') patch.price = Number(value)
        else patch.sku = String(value)
      }
      const id = Number(parameters[Number(update[2]) - 1])
      const expected = expectedIn(sql, parameters)
      return this.#writing(async (tx) => this.#returned(sql, tx, await database.update(tx, id, patch, expected)))
    }
    if (sql.startsWith('delete from "products" where "id" = $1')) {
      const expected = expectedIn(sql, parameters)
      return this.#writing(async (tx) =>
        this.#returned(sql, tx, await database.delete(tx, Number(parameters[0]), expected)),
      )
    }
    return undefined
  }

  #returned(sql: string, tx: Transaction, row: Row | undefined): Answer {
    if (row === undefined) return []
    const returned: Record<string, unknown> = { ...(sql.includes('returning *') && row), ...textsIn(sql, row) }
    const xidAlias = /pg_current_xact_id\(\)::text as "(\w+)"/.exec(sql)?.[1]
    if (xidAlias) returned[xidAlias] = String(this.#database.xidOf(tx))
    const waited = / > (\d+)\)::text as "corralwaited"/.exec(sql)?.[1]
    if (waited) returned.corralwaited = String(this.#database.sinceStamp(row) > BigInt(waited))
    return [returned]
  }

  /** In the transaction that is open, or in one of its own. */
  async #writing(act: (tx: Transaction) => Promise<Answer>): Promise<Answer> {
    if (this.#replica) throw new PgError('25006', 'cannot execute in a read-only transaction')
    if (this.#tx) return act(this.#tx)
    const tx = this.#database.begin(this.#by)
    this.#tx = tx
    try {
      const answer = await act(tx)
      if (!tx.hasEnded) this.#database.commit(tx)
      return answer
    } catch (error) {
      this.#database.rollback(tx)
      throw error
    } finally {
      this.#tx = undefined
    }
  }

  /** What a relay asks: the outbox, its positions, the epoch, the lead. */
  #relay(sql: string, parameters: Parameters): Answer | undefined {
    const database = this.#database
    if (sql.includes('pg_try_advisory_lock')) {
      const name = String(parameters[0])
      const { holder, times } = database.advisory.get(name) ?? { holder: this, times: 0 }
      if (holder === this) database.advisory.set(name, { holder, times: times + 1 })
      return [{ got: holder === this ? '1' : '0' }]
    }
    if (sql.startsWith('select pg_advisory_unlock')) {
      const name = String(parameters[0])
      const { holder, times } = database.advisory.get(name) ?? { holder: undefined, times: 0 }
      if (holder === this && times > 1) database.advisory.set(name, { holder, times: times - 1 })
      else if (holder === this) database.advisory.delete(name)
      return [{ pg_advisory_unlock: holder === this }]
    }
    if (sql.startsWith('select set_config(name')) return []
    if (sql.includes('pg_walfile_name')) return [{ answer: '00000001' }]
    if (sql.includes('pg_control_system')) return [{ answer: '7000000000000000001' }]
    if (sql.startsWith('with span as materialized')) return [{ answer: JSON.stringify(this.#page(sql, parameters)) }]
    if (sql.startsWith('with moved as')) return this.#settle(String(parameters[1]), String(parameters[0]))
    if (sql.startsWith('with known as')) return this.#origin(String(parameters[0]), String(parameters[2]))
    if (sql.startsWith('select position::text as position')) {
      return this.#positionBefore(String(parameters[0]), Number(parameters[2]))
    }
    if (sql.startsWith('with raised as')) {
      return this.#epoch(String(parameters[0]), Number(parameters[1]), parameters[2] as string | null)
    }
    if (sql.startsWith('select source from')) return [{ source: null }]
    if (sql.startsWith('select number::text as number from corral.epochs') || sql.includes('from "corral".epochs')) {
      return [{ number: String(database.epochs.get(String(parameters[0]))?.number ?? 0) }]
    }
    if (sql.includes('prune_')) return [{ prune_outbox: 0 }]
    return undefined
  }

  /** Where the namespace has settled last, or where it begins. */
  #origin(namespace: string, position: string): Answer {
    const { positions, nowMs } = this.#database
    const known = positions.findLast((each) => each.namespace === namespace && each.beganMs !== ORIGIN)
    if (known) return [{ position: known.position, gap: '0' }]
    const origin = positions.find((each) => each.namespace === namespace)
    if (origin) origin.atMs = nowMs
    else positions.push({ namespace, position, beganMs: ORIGIN, atMs: nowMs })
    return [{ position, gap: '1' }]
  }

  #page(sql: string, [position, given, afterXid, afterId]: Parameters) {
    const database = this.#database
    const upto: Snapshot = given === null ? database.snapshot : parseSnapshot(String(given))
    const limit = Number(/limit (\d+)/.exec(sql)?.[1])
    const after = { xid: Number(afterXid), id: Number(afterId) }
    const rows = database.page(parseSnapshot(String(position)), upto, after, limit)
    const oldestMs = Math.min(...rows.map(({ atMs }) => atMs))
    return {
      upto: printSnapshot(upto),
      // Nothing is ever pruned.
      isKept: true,
      ageMs: rows.length === 0 ? 0 : database.nowMs - oldestMs,
      rows: rows.map(({ id, xid, op, key, version, lookups }) => ({
        ...{ id: String(id), xid: String(xid), entity: 'public.products', op, key, version, lookups },
        column_values: null,
      })),
    }
  }

  #settle(namespace: string, position: string): Answer {
    const { positions, nowMs } = this.#database
    const last = positions.findLast((each) => each.namespace === namespace)
    if (last && last.beganMs > nowMs - 5_000) Object.assign(last, { position, atMs: nowMs })
    else positions.push({ namespace, position, beganMs: nowMs, atMs: nowMs })
    return []
  }

  #positionBefore(namespace: string, windowMs: number): Answer {
    const own = this.#database.positions.filter((each) => each.namespace === namespace)
    const newestMs = Math.max(...own.map(({ atMs }) => atMs))
    const found = own.findLast(({ beganMs, atMs }) => beganMs === ORIGIN || atMs <= newestMs - windowMs)
    return found ? [{ position: found.position }] : []
  }

  #epoch(namespace: string, least: number, history: string | null): Answer {
    const { epochs } = this.#database
    const known = epochs.get(namespace)
    if (known === undefined) {
      if (least > 0 || history !== null) epochs.set(namespace, { number: least, history })
    } else {
      if (known.history !== null && history !== null && known.history !== history) known.number++
      known.number = Math.max(known.number, least)
      known.history = history ?? known.history
    }
    return [{ number: String(epochs.get(namespace)?.number ?? 0), session: this.#by }]
  }
}

/** When the position began at which a namespace's first relay did. */
const ORIGIN = Number.NEGATIVE_INFINITY
const NO_ROW = { id: null, sku: null, price: null, corral_version: null, says: null }

function rowsOf(row: Row | undefined): Answer {
  return row ? [{ ...row }] : []
}

/** The columns that a statement asks for as text, by what it calls them. */
function textsIn(sql: string, row: Row): Record<string, string> {
  const asked = [...sql.matchAll(/"(\w+)"(?:::text| as text\)) as "(\w+)"/g)]
  return Object.fromEntries(asked.map(([, column, alias]) => [alias, String(row[column as keyof Row])]))
}

function expectedIn(sql: string, parameters: Parameters): string | undefined {
  const at = /"corral_version" = \$(\d+)/.exec(sql)?.[1]
  return at === undefined ? undefined : String(parameters[Number(at) - 1])
}
