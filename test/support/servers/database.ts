import { randomBytes } from 'node:crypto'
import { Pool, type PoolClient } from 'pg'

/** A database made for one test file. */
export interface TestDatabase {
  readonly url: string
  readonly name: string
  /** Drops it, cutting off whoever is still connected. Dropping it again is no error. */
  drop(): Promise<void>
}

/**
 * Makes an empty database beside the one that `serverUrl` names. The name gets a random end, so that test runs sharing
 * a server never meet. Rejects, naming the remedy, when the role may not create databases.
 */
export async function createDatabase(serverUrl: string, name: string): Promise<TestDatabase> {
  const readable = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '_')
    .slice(0, 40)
  const unique = `corral_${readable}_${randomBytes(4).toString('hex')}`
  try {
    await execute(serverUrl, `CREATE DATABASE ${unique}`)
  } catch (cause) {
    const found = (cause as Error).message
    throw new Error(`Cannot create a test database: ${found}. A role of your own needs: ALTER ROLE name CREATEDB`, {
      cause,
    })
  }
  const url = new URL(serverUrl)
  url.pathname = `/${unique}`
  return {
    url: url.href,
    name: unique,
    drop: async () => void (await execute(serverUrl, `DROP DATABASE IF EXISTS ${unique} WITH (FORCE)`)),
  }
}

/** How long a connection waits for the next statement of a test that asks again and again. */
const KEEP_MS = 1_000
const pools = new Map<string, Pool>()

/**
 * Runs statements one after the other in a session that nothing is left in from others, and that nobody else is in. Resolves with
 * the rows of the last. What was neither committed nor rolled back is rolled back.
 */
export async function execute(url: string, ...statements: readonly string[]): Promise<Record<string, unknown>[]> {
  const client = await poolOf(url).connect()
  try {
    let rows: Record<string, unknown>[] = []
    for (const statement of statements) rows = (await client.query(statement)).rows
    await releaseAsNew(client)
    return rows
  } catch (error) {
    client.release(true)
    throw error
  }
}

/** Nothing of what was done in the session is left to the next one. Where that is refused, as inside a transaction, the session ends. */
export async function releaseAsNew(client: PoolClient): Promise<void> {
  const isNew = await client.query('DISCARD ALL').then(
    () => true,
    () => false,
  )
  client.release(!isNew)
}

/** To connect costs a server more than most statements do, so connections are kept for a moment. They keep no process from ending. */
export function poolOf(url: string): Pool {
  let pool = pools.get(url)
  if (pool === undefined) {
    pool = new Pool({ connectionString: url, max: 50, idleTimeoutMillis: KEEP_MS, allowExitOnIdle: true })
    // A server may go away under a connection; who has asked it something is told so by the answer.
    pool.on('error', () => {})
    pool.on('connect', (client) => client.on('error', () => {}))
    pools.set(url, pool)
  }
  return pool
}
