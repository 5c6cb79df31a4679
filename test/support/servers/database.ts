import { randomBytes } from 'node:crypto'
import { Client } from 'pg'

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

/** Runs statements one after the other on a connection of their own. Resolves with the rows of the last. */
export async function execute(url: string, ...statements: readonly string[]): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    let rows: Record<string, unknown>[] = []
    for (const statement of statements) rows = (await client.query(statement)).rows
    return rows
  } finally {
    await client.end()
  }
}
