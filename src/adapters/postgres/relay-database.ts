import { sql } from 'kysely'
import { ConfigError, SourceError } from '../../core/errors.js'
import type { ChangedTable } from '../../core/ports.js'
import { type AnyDatabase, readRelation } from './catalog-query.js'
import { readHistory } from './history.js'
import { keyTypeOf } from './key-column.js'
import { CORRAL_SCHEMA } from './outbox-sql.js'
import type { RelationDirectory } from './relation-directory.js'

/** SQLSTATEs of a table or a schema that is not there. */
const MISSING = ['42P01', '3F000']

/** What a relay asks its database wherever its changes come from: on the connection it leads on. */
export class RelayDatabase {
  readonly #db: AnyDatabase
  readonly #namespace: string
  readonly #source: 'outbox' | 'slot'
  readonly #directory: RelationDirectory
  /** The server process that has answered first. */
  #session: string | undefined

  constructor(options: {
    db: AnyDatabase
    namespace: string
    source: 'outbox' | 'slot'
    directory: RelationDirectory
  }) {
    this.#db = options.db.withoutPlugins()
    this.#namespace = options.namespace
    this.#source = options.source
    this.#directory = options.directory
  }

  async describe(entity: string, columns: readonly string[]): Promise<ChangedTable> {
    const at = entity.indexOf('.')
    const real = { schema: entity.slice(0, at), name: entity.slice(at + 1) }
    const [placed] = await this.#directory.find([real], this.#db)
    const relation = columns.length === 0 ? undefined : await readRelation(this.#db, real)
    const typeOf = (column: string) => {
      const found = relation?.columns.find((each) => each.column === column)
      return found && keyTypeOf(found.base)?.name
    }
    return { roots: placed?.roots ?? [entity], types: new Map(columns.map((column) => [column, typeOf(column)])) }
  }

  /**
   * Also leaves word of what this relay reads: readers hold their bounds against it only where that has their table's changes.
   *
   * @throws SourceError, and ConfigError when another session answers than before: then nobody knows whether this process still has the lead.
   */
  async epoch(least: number): Promise<number> {
    const epochs = sql.raw(`${CORRAL_SCHEMA}.epochs`)
    const history = await readHistory(this.#db)
    // Another history may lack raises that this one has seen: past those, too, because they come less than once a second.
    const [row] = await this.run<{ number: string; session: string }>(
      'reading the epoch',
      sql`with raised as (
          insert into ${epochs} as e (namespace, number, history, source) values (${this.#namespace}, ${least}::bigint, ${history}, ${this.#source})
          on conflict (namespace) do update set source = excluded.source, history = coalesce(excluded.history, e.history), number = case
            when e.history <> excluded.history then greatest(e.number + 1, excluded.number, extract(epoch from clock_timestamp())::bigint)
            else greatest(e.number, excluded.number) end
          where e.number < excluded.number or e.history is distinct from coalesce(excluded.history, e.history)
            or e.source is distinct from excluded.source
          returning number)
        select greatest((select number from raised), (select number from ${epochs} where namespace = ${this.#namespace}), 0)::text as number,
          pg_backend_pid()::text as session`,
    )
    this.#session ??= row?.session
    if (this.#session !== row?.session) {
      const expected =
        'a connection that keeps its session, for the lead is a lock of it: none through a pooler that hands them out per transaction'
      throw new ConfigError('db', expected, `process ${this.#session} of the server, then ${row?.session}`)
    }
    return Number(row?.number ?? 0)
  }

  async run<Row>(what: string, query: { execute(db: AnyDatabase): Promise<{ rows: unknown[] }> }): Promise<Row[]> {
    try {
      return (await query.execute(this.#db)).rows as Row[]
    } catch (error) {
      if (MISSING.includes((error as { code?: string }).code ?? '')) {
        const migration = this.#source === 'outbox' ? 'outboxTables' : 'slotTables'
        throw new ConfigError(
          'db',
          `the tables of migration \`${migration}\` of corral/migrations`,
          (error as Error).message,
        )
      }
      throw new SourceError(what, error)
    }
  }
}
