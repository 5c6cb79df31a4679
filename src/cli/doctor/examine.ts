import { reasonOf } from '../reason-of.js'
import { examineClocks } from './clocks.js'
import { type Diagnosis, merged, NOTHING, type Severity } from './findings.js'
import type { Patient } from './patient.js'
import { examinePostgres } from './postgres.js'
import { examineRedis } from './redis.js'
import { examineRelay } from './relay.js'
import { examineSlot } from './slot.js'
import { examineStandby } from './standby.js'
import { examineTables } from './tables.js'

export const SEVERITIES: readonly Severity[] = ['critical', 'warning', 'notice']

/** Looks at everything, one group after the other, and changes nothing. Most severe findings first. Never rejects. */
export async function examine(patient: Patient, onGroup: (name: string) => void): Promise<Diagnosis> {
  const diagnoses: Diagnosis[] = []
  /** What fails unexpectedly leaves the other groups alone. */
  const group = async <Value>(name: string, act: () => Promise<Value>): Promise<Value | undefined> => {
    onGroup(name)
    return act().catch((error) => {
      diagnoses.push({ ...NOTHING, unchecked: [{ what: name, reason: reasonOf(error) }] })
      return undefined
    })
  }
  const postgres = await group('Postgres', () => examinePostgres(patient))
  if (postgres) diagnoses.push(postgres[0])
  const isThere = postgres?.[1] !== undefined
  const tables = isThere ? await group('tables', () => examineTables(patient)) : undefined
  if (tables) diagnoses.push({ ...NOTHING, findings: tables.findings })
  const redis = await group('Redis', () => examineRedis(patient))
  if (redis) diagnoses.push(redis.diagnosis)
  if (tables?.hasOutbox) diagnoses.push((await group('relay', () => examineRelay(patient))) ?? NOTHING)
  if (isThere) diagnoses.push((await group('slot', () => examineSlot(patient))) ?? NOTHING)
  if (isThere) diagnoses.push((await group('clocks', () => examineClocks(patient, redis?.nodes ?? []))) ?? NOTHING)
  if (isThere) diagnoses.push((await group('standby', () => examineStandby(patient))) ?? NOTHING)
  const { findings, unchecked } = merged(diagnoses)
  return { findings: [...findings].sort((a, b) => rank(a.severity) - rank(b.severity)), unchecked }
}

function rank(severity: Severity): number {
  return SEVERITIES.indexOf(severity)
}
