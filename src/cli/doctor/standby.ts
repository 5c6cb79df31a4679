import { sql } from 'kysely'
import type { AnyDatabase } from '../../adapters/postgres/catalog-query.js'
import { reasonOf } from '../reason-of.js'
import { type Diagnosis, finding, NOTHING } from './findings.js'
import { type Patient, within } from './patient.js'

/** How long it may take to replay what was written when it was asked. */
const CATCH_UP_MS = 2_000
const LOOK_MS = 50

/** The standby of option `replica`. */
export async function examineStandby({ inside, clock }: Patient): Promise<Diagnosis> {
  const { db } = inside
  const replicaDb = inside.replica?.db
  if (replicaDb === undefined) return NOTHING
  const diagnosis = (...found: Parameters<typeof finding>) => ({ ...NOTHING, findings: [finding(...found)] })
  const subject = 'option `replica.db`'
  try {
    if ((await one(replicaDb, 'select pg_is_in_recovery()::text as answer', clock)) !== 'true') {
      return diagnosis(
        'standby.primary',
        subject,
        'pg_is_in_recovery() is false',
        'connect it to the standby, or leave `db` out of `replica`',
      )
    }
    const system = 'select system_identifier::text as answer from pg_control_system()'
    const [mine, its] = [await maybe(db, system, clock), await maybe(replicaDb, system, clock)]
    if (mine !== undefined && its !== undefined && mine !== its) {
      return diagnosis(
        'standby.other-database',
        subject,
        `system identifier ${its}, that of \`db\` is ${mine}`,
        'connect it to a standby of `db`',
      )
    }
    const target = await one(db, 'select pg_current_wal_lsn()::text as answer', clock)
    const behind = `select pg_wal_lsn_diff('${target}', pg_last_wal_replay_lsn())::text as answer`
    const startedMs = clock.monotonicMs()
    let bytes = Number(await one(replicaDb, behind, clock))
    while (bytes > 0 && clock.monotonicMs() - startedMs < CATCH_UP_MS) {
      await clock.sleep(LOOK_MS)
      bytes = Number(await one(replicaDb, behind, clock))
    }
    if (bytes <= 0) return NOTHING
    const fix =
      'select * from pg_stat_replication on the primary; long queries on the standby hold replay back (max_standby_streaming_delay)'
    return diagnosis(
      'standby.lag',
      subject,
      `${bytes} bytes are not replayed ${CATCH_UP_MS / 1_000} s after they were written`,
      fix,
    )
  } catch (error) {
    return diagnosis('standby.unreachable', subject, reasonOf(error), 'check its connection in the config')
  }
}

async function one(db: AnyDatabase, question: string, clock: Patient['clock']): Promise<string> {
  const { rows } = await within(clock, sql<{ answer: string }>`${sql.raw(question)}`.execute(db.withoutPlugins()))
  return (rows[0] as { answer: string }).answer
}

/** Undefined where the provider keeps it to himself. */
function maybe(...question: Parameters<typeof one>): Promise<string | undefined> {
  return one(...question).catch(() => undefined)
}
