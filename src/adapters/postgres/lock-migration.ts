import { type Migration, sql } from 'kysely'
import { locksDown, locksUp } from './lock-sql.js'

/**
 * A Kysely migration that makes the table `corral.withFencedLock` issues its tokens from, in schema `corral`. `up` and `down` may each run any
 * number of times. See docs/guides/fenced-locks.md for privileges.
 */
export function fencedLocks(): Required<Migration> {
  const { up, down } = fencedLocksSql()
  const run = (list: readonly string[]): Migration['up'] => {
    return async (db) => {
      for (const statement of list) await sql.raw(statement).execute(db)
    }
  }
  return { up: run(up), down: run(down) }
}

/** The statements `fencedLocks` runs, in order and without closing semicolons, for other migration tools. */
export function fencedLocksSql(): { readonly up: readonly string[]; readonly down: readonly string[] } {
  return { up: locksUp(), down: locksDown() }
}
