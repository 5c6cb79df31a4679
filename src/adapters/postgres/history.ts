import { sql } from 'kysely'
import type { AnyDatabase } from './catalog-query.js'

/** What a provider answers who keeps a function to himself: not allowed, not there, not supported. */
const REFUSALS = ['42501', '42883', '0A000']

/**
 * Which history of which database this is: the system identifier of its cluster, and its timeline, which is another one after every
 * promotion and every restore to a point in time. Null where nobody says: a refusal, or a question that failed.
 *
 * The timeline is read off the name of the WAL file that is written now: what `pg_control_checkpoint` says is that of the last
 * checkpoint, which may be minutes before a promotion.
 */
export async function readHistory(db: AnyDatabase): Promise<string | null> {
  const timeline = await ask(db, 'select left(pg_walfile_name(pg_current_wal_lsn()), 8) as answer')
  const system = await ask(db, 'select system_identifier::text as answer from pg_control_system()')
  // Half an answer must not look like another history.
  return timeline === 'failed' || timeline === 'refused' || system === 'failed' ? null : `${system}/${timeline}`
}

async function ask(db: AnyDatabase, question: string): Promise<string> {
  try {
    return (await sql<{ answer: string }>`${sql.raw(question)}`.execute(db)).rows[0]?.answer ?? 'failed'
  } catch (error) {
    return REFUSALS.includes((error as { code?: string }).code ?? '') ? 'refused' : 'failed'
  }
}
