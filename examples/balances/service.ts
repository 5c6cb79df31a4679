import { createCorral, isCorralError } from 'corral'
import { outboxTable, outboxTables, stampTable } from 'corral/migrations'
import { type GeneratedAlways, type Kysely, sql } from 'kysely'
import { serve } from '../http.js'
import { connect, type Place, type Service } from '../place.js'

interface Database {
  /** Cents. A bigint comes as text, and stays exact. */
  accounts: { id: string; owner: string; balance: string; corral_version: GeneratedAlways<string> }
}

/** Money: shown from the cache, decided by the database, and right after the nightly job that never heard of a cache. */
export async function start(place: Place): Promise<Service> {
  const { db, redis, close } = connect<Database>(place)
  await migrate(db)
  // In production in at least two processes, or in a small one of its own (`startRelay`).
  const corral = createCorral({ db, redis, namespace: 'balances', relay: true })
  const accounts = corral.repository('accounts', { key: 'id' })

  const server = await serve(
    {
      // To look at. No older than 2 s, provably: else the database answers.
      'GET /accounts/:id': async ({ params }) => {
        const account = await accounts.find(params.id as string, { consistency: { maxStaleMs: 2_000 } })
        return account ? { body: { owner: account.owner, balance: account.balance } } : { status: 404 }
      },

      // To decide on: the balance from the primary, with the version that a change has to name.
      'GET /accounts/:id/statement': async ({ params }) => {
        const account = await accounts.find(params.id as string, { consistency: 'primary' })
        if (account === undefined) return { status: 404 }
        return { body: { balance: account.balance }, headers: { etag: `"${account.corral_version}"` } }
      },

      // Only if nobody has changed the account since that statement.
      'PUT /accounts/:id/owner': async ({ params, body, headers }) => {
        const expectVersion = String(headers['if-match'] ?? '').replaceAll('"', '')
        if (expectVersion === '') return { status: 428 }
        try {
          const result = await accounts.update(params.id as string, { owner: String(body.owner) }, { expectVersion })
          return result ? { headers: { etag: `"${result.version}"` } } : { status: 404 }
        } catch (error) {
          if (isCorralError(error, 'STALE_WRITE')) return { status: 412 }
          throw error
        }
      },

      'POST /transfers': async ({ body }) => {
        const [from, to, amount] = [String(body.from), String(body.to), BigInt(String(body.amount))]
        if (amount <= 0n || from === to) return { status: 400 }
        const { value } = await corral.transaction(async (tx) => {
          const inside = accounts.in(tx)
          // Always in the same order, so that two transfers cannot wait for each other.
          const [first, second] = [from, to].sort() as [string, string]
          const locked = { [first]: await inside.lock(first), [second]: await inside.lock(second) }
          const [source, target] = [locked[from], locked[to]]
          if (source === undefined || target === undefined) return 404
          if (BigInt(source.balance) < amount) return 409
          await inside.update(from, { balance: String(BigInt(source.balance) - amount) })
          await inside.update(to, { balance: String(BigInt(target.balance) + amount) })
          return 201
        })
        return { status: value }
      },
    },
    place.port,
  )
  return {
    url: server.url,
    async close() {
      await server.close()
      await corral.close()
      await close()
    },
  }
}

async function migrate(db: Kysely<Database>): Promise<void> {
  await sql`create table if not exists accounts (
    id text primary key, owner text not null, balance bigint not null check (balance >= 0))`.execute(db)
  await stampTable({ table: 'accounts', key: 'id' }).up(db)
  await outboxTables().up(db)
  await outboxTable({ table: 'accounts', key: 'id' }).up(db)
  await sql`insert into accounts (id, owner, balance) values ('alice', 'Alice', 120000), ('bob', 'Bob', 85000) on conflict do nothing`.execute(
    db,
  )
}
