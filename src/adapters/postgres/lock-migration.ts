import { locksDown, locksUp } from './lock-sql.js'
import { type CorralMigration, migration, type Statements } from './migration.js'

/**
 * A Kysely migration that makes the table `corral.withFencedLock` issues its tokens from, in schema `corral`. `up` and `down` may each run any
 * number of times. See docs/guides/fenced-locks.md for privileges.
 */
export function fencedLocks(): CorralMigration {
  return migration(fencedLocksSql())
}

/** The statements `fencedLocks` runs, in order and without closing semicolons, for other migration tools. */
export function fencedLocksSql(): Statements {
  return { up: locksUp(), down: locksDown() }
}
