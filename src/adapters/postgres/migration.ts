import { type Kysely, sql } from 'kysely'

/**
 * A migration as Kysely's Migrator runs it. A type of our own, because Kysely 0.29 has moved its `Migration` to an entry that 0.28 does not have.
 */
export interface CorralMigration {
  // biome-ignore lint/suspicious/noExplicitAny: whichever database the application's is
  up(db: Kysely<any>): Promise<void>
  // biome-ignore lint/suspicious/noExplicitAny: whichever database the application's is
  down(db: Kysely<any>): Promise<void>
}

export interface Statements {
  readonly up: readonly string[]
  readonly down: readonly string[]
}

export function migration({ up, down }: Statements): CorralMigration {
  const run = (list: readonly string[]): CorralMigration['up'] => {
    return async (db) => {
      for (const statement of list) await sql.raw(statement).execute(db)
    }
  }
  return { up: run(up), down: run(down) }
}
