import { type Kysely, type RawBuilder, type SqlBool, sql } from 'kysely'
import { ConfigError, LockLostError, SourceError } from '../../core/errors.js'
import type { IssuedToken, LockTokens } from '../../core/lock-ports.js'
import type { AnyDatabase } from './catalog-query.js'
import { LOCK_TOKENS, LOCKS_TABLE } from './lock-sql.js'

/** SQLSTATEs of a table or a schema that is not there. */
const MISSING = ['42P01', '3F000']

const locks = sql.raw(LOCKS_TABLE)

/**
 * `LockTokens` in Postgres. A row for each name; issuing updates it, and a protected transaction holds it with FOR SHARE: so
 * while that is under way no newer token can be issued, and after a newer one was issued none can begin.
 */
export class PostgresLockTokens implements LockTokens {
  readonly #db: AnyDatabase

  constructor(db: AnyDatabase) {
    this.#db = db
  }

  async issue(name: string): Promise<IssuedToken> {
    try {
      // The sequence alone would not do: of two that draw from it, the later one may reach the row first.
      const { rows } = await sql<{ token: string; others: string }>`
        insert into ${locks} as l (name, token, unreleased) values (${name}, nextval(${LOCK_TOKENS}), 1)
        on conflict (name) do update set
          token = greatest(l.token + 1, excluded.token), unreleased = l.unreleased + 1, issued_at = clock_timestamp()
        returning token::text as token, (unreleased - 1)::text as others`.execute(this.#db.withoutPlugins())
      const [row] = rows
      if (row === undefined) throw new Error('no token was returned')
      return { token: row.token, others: Number(row.others) }
    } catch (error) {
      if (MISSING.includes((error as { code?: string }).code ?? '')) {
        throw new ConfigError('db', `a table ${LOCKS_TABLE} (migration \`fencedLocks\` of corral/migrations)`, 'none')
      }
      throw new SourceError('issuing a lock token', error)
    }
  }

  async release(name: string, token: string): Promise<void> {
    // Whoever lets go of the newest token has outlived all others: they can do no more harm.
    await sql`
      update ${locks} set unreleased = case when token = ${token}::bigint then 0 else greatest(unreleased - 1, 0) end
      where name = ${name}`.execute(this.#db.withoutPlugins())
  }
}

/** True, and held until the transaction ends, as long as `token` is the newest of `name`. For the WHERE of a protected statement. */
export function tokenIsNewest(name: string, token: string): RawBuilder<SqlBool> {
  return sql<SqlBool>`exists (select 1 from ${locks} where name = ${name} and token = ${token}::bigint for share)`
}

/**
 * The same as a statement of its own, at the beginning of a transaction.
 *
 * @throws LockLostError when a newer token was issued; ConfigError outside of a transaction, where it would protect nothing.
 */
// biome-ignore lint/suspicious/noExplicitAny: a transaction of any application's database
export async function assertTokenIsNewest(tx: Kysely<any>, name: string, token: string): Promise<void> {
  if (!tx.isTransaction) throw new ConfigError('tx', 'a transaction', 'a Kysely instance outside of one')
  const { rows } = await sql<{ held: string }>`
    select 'yes' as held from ${locks} where name = ${name} and token = ${token}::bigint for share`.execute(
    tx.withoutPlugins(),
  )
  if (rows.length === 0) throw new LockLostError(name, token)
}
