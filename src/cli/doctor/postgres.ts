import { sql } from 'kysely'
import { readEpoch } from '../../adapters/postgres/durability.js'
import { isCorralError } from '../../core/errors.js'
import { reasonOf } from '../reason-of.js'
import { type Diagnosis, type Finding, finding, NOTHING } from './findings.js'
import { type Patient, within } from './patient.js'

export interface PostgresFacts {
  /** As `server_version_num` has it: 150004. */
  readonly version: number
  readonly inRecovery: boolean
  readonly synchronousCommit: string
}

const LEAST_VERSION = 130_000

/** Undefined in second place when the server does not answer: then nothing about the database can be checked. */
export async function examinePostgres({ inside, clock }: Patient): Promise<[Diagnosis, PostgresFacts | undefined]> {
  let facts: PostgresFacts
  try {
    facts = await within(clock, readFacts(inside.db), 5_000)
  } catch (error) {
    const fix = 'check the connection of `db` in the config, and that the server runs: pg_isready'
    return [{ findings: [finding('postgres.unreachable', 'postgres', reasonOf(error), fix)], unchecked: [] }, undefined]
  }
  const privilege = await readEpoch(inside.db, inside.namespace).then(
    () => [],
    (error) => {
      if (!isCorralError(error, 'CONFIG_INVALID')) throw error
      const fix = 'grant usage on schema corral to <role>; grant select on corral.epochs to <role>;'
      return [finding('postgres.epoch-privilege', 'corral.epochs', 'the role of `db` may not read it', fix)]
    },
  )
  return [{ ...NOTHING, findings: [...checkPostgres(facts), ...privilege] }, facts]
}

export function checkPostgres({ version, inRecovery, synchronousCommit }: PostgresFacts): Finding[] {
  const findings: Finding[] = []
  if (version < LEAST_VERSION) {
    findings.push(
      finding('postgres.version', 'postgres', `version ${version / 10_000}`, 'upgrade to Postgres 13 or later'),
    )
  }
  if (inRecovery) {
    const fix = 'connect `db` to the primary; give the standby as `replica: { db }`'
    findings.push(finding('postgres.recovering', 'postgres', 'pg_is_in_recovery() is true', fix))
  }
  if (synchronousCommit === 'off') {
    const fix = 'alter database <name> set synchronous_commit = on; (or for the role, or in postgresql.conf)'
    findings.push(finding('postgres.async-commit', 'postgres', 'synchronous_commit = off', fix))
  }
  return findings
}

async function readFacts(db: Patient['inside']['db']): Promise<PostgresFacts> {
  const { rows } = await sql<{ version: string; recovery: string; commit: string }>`
    select current_setting('server_version_num') as version, pg_is_in_recovery()::text as recovery,
      current_setting('synchronous_commit') as commit`.execute(db.withoutPlugins())
  const [row] = rows as [(typeof rows)[0]]
  return { version: Number(row.version), inRecovery: row.recovery === 'true', synchronousCommit: row.commit }
}
