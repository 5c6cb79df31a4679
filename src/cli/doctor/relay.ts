import { Buffer } from 'node:buffer'
import { sql } from 'kysely'
import type { AnyDatabase } from '../../adapters/postgres/catalog-query.js'
import { readEpoch } from '../../adapters/postgres/durability.js'
import { relayLock } from '../../adapters/postgres/relay-lead.js'
import { epochKey } from '../../core/key.js'
import { reasonOf } from '../reason-of.js'
import { type Diagnosis, type Finding, finding, NOTHING, type Unchecked } from './findings.js'
import { type Patient, within } from './patient.js'

export interface RelayFacts {
  readonly namespace: string
  /** Some process holds the lead. */
  readonly isLed: boolean
  /** Since the leader has settled its position; null: none ever has. An idle one does so each second. */
  readonly positionAgeMs: number | null
  /** Of the oldest change that is not in the cache; null: there is none. */
  readonly oldestMs: number | null
  readonly outboxBytes: number
  /** Namespaces whose relay was last seen so long ago. */
  readonly others: readonly { readonly namespace: string; readonly ageMs: number }[]
}

/** Much longer than a leader is silent, and than another takes over. */
const SILENT_MS = 15_000
const LATE_MS = 5_000
const LARGE_BYTES = 2 ** 30
const ABANDONED_MS = 3_600_000

export async function examineRelay(patient: Patient): Promise<Diagnosis> {
  const { inside, clock } = patient
  const unchecked: Unchecked[] = []
  const findings: Finding[] = []
  try {
    findings.push(...checkRelay(await within(clock, readFacts(inside.db, inside.namespace), 10_000)))
  } catch (error) {
    unchecked.push({ what: 'the outbox and its relay', reason: reasonOf(error) })
  }
  if (inside.runs) findings.push(...(await missingPrivileges(inside.db)))
  if (inside.redis) {
    const epochs = await within(clock, readEpochs(patient)).catch(() => undefined)
    if (epochs) findings.push(...checkEpochs(inside.namespace, epochs))
    else unchecked.push({ what: 'the epoch in Redis', reason: 'Redis does not answer' })
  }
  return { ...NOTHING, findings, unchecked }
}

export function checkRelay(facts: RelayFacts): Finding[] {
  const { namespace, isLed, positionAgeMs, oldestMs, outboxBytes, others } = facts
  const findings: Finding[] = []
  const seconds = (ms: number) => `${Math.round(ms / 1_000)} s`
  const seen = positionAgeMs === null ? 'there never was one' : `last seen ${seconds(positionAgeMs)} ago`
  const isSilent = positionAgeMs === null || positionAgeMs > SILENT_MS
  if (!isLed && isSilent) {
    const fix = 'give `relay: true` to two processes or more, or run: npx corral relay'
    findings.push(finding('relay.absent', `namespace ${namespace}`, `no process leads; ${seen}`, fix))
  }
  if (isLed && positionAgeMs !== null && isSilent) {
    const fix =
      'see what is said of Redis here, and the events relay.failed and relay.shard of the process that leads; another takes over when that is ended'
    findings.push(
      finding(
        'relay.stuck',
        `namespace ${namespace}`,
        `a process leads, and has settled nothing for ${seconds(positionAgeMs)}`,
        fix,
      ),
    )
  }
  if (oldestMs !== null && oldestMs > LATE_MS) {
    const fix = 'find out why the relay is behind: see the runbook of an outbox that grows'
    findings.push(
      finding(
        'outbox.late',
        'corral.outbox',
        `the oldest change that is not relayed was made ${seconds(oldestMs)} ago`,
        fix,
      ),
    )
  }
  if (outboxBytes > LARGE_BYTES) {
    const fix =
      'run a relay in each namespace of this database; it prunes. select * from corral.positions shows who is behind'
    findings.push(finding('outbox.large', 'corral.outbox', `${Math.round(outboxBytes / 2 ** 20)} MiB`, fix))
  }
  for (const { namespace: other, ageMs } of others) {
    if (ageMs <= ABANDONED_MS) continue
    const fix = `if it is gone for good: delete from corral.positions where namespace = '${other.replaceAll("'", "''")}';`
    findings.push(finding('outbox.abandoned', `namespace ${other}`, `last seen ${seconds(ageMs)} ago`, fix))
  }
  return findings
}

export function checkEpochs(namespace: string, { database, cache }: { database: number; cache: number }): Finding[] {
  if (cache >= database) return []
  const fix = `npx corral epoch bump --yes   (any process that starts now tells Redis, too)`
  return [
    finding(
      'epoch.behind',
      `namespace ${namespace}`,
      `${database} in Postgres, ${cache === 0 ? 'none' : cache} in Redis`,
      fix,
    ),
  ]
}

async function readEpochs({ inside }: Patient): Promise<{ database: number; cache: number }> {
  const database = (await readEpoch(inside.db, inside.namespace)) ?? 0
  const read = () => inside.assembly.store.read([epochKey(inside.namespace)])
  // The application's deadline is for readers who have somewhere else to go; here one late answer is no answer.
  const [held] = await read().catch(read).catch(read)
  return { database, cache: Number(held ? Buffer.from(held).toString('latin1') : 0) || 0 }
}

async function readFacts(db: AnyDatabase, namespace: string): Promise<RelayFacts> {
  const { rows } = await sql<{ facts: string }>`
    with mine as (select position, at from corral.positions where namespace = ${namespace} order by at desc limit 1)
    select json_build_object(
      'isLed', exists (select from pg_locks l where l.locktype = 'advisory' and l.objsubid = 1 and l.granted
        and l.database = (select oid from pg_database where datname = current_database())
        and (l.classid::bigint << 32) | l.objid::bigint = ${relayLock(namespace)}::bigint),
      'positionAgeMs', (select extract(epoch from clock_timestamp() - at) * 1000 from mine),
      'oldestMs', (select extract(epoch from clock_timestamp() - min(o.at)) * 1000 from corral.outbox o
        where o.xid >= coalesce((select pg_snapshot_xmin(position) from mine), '0'::xid8)
          and not coalesce(pg_visible_in_snapshot(o.xid, (select position from mine)), false)),
      'outboxBytes', (select sum(pg_total_relation_size(inhrelid)) from pg_inherits where inhparent = 'corral.outbox'::regclass),
      'others', (select coalesce(json_agg(json_build_object('namespace', p.namespace, 'ageMs', p.age)), '[]') from (
        select namespace, extract(epoch from clock_timestamp() - max(at)) * 1000 as age
        from corral.positions where namespace <> ${namespace} group by namespace) p)
    )::text as facts`.execute(db.withoutPlugins())
  return { namespace, ...JSON.parse((rows[0] as { facts: string }).facts) }
}

/** What a relay has to do, as `has_table_privilege` calls it. */
const RELAY_NEEDS = [
  ['corral.outbox', 'select'],
  ['corral.positions', 'select'],
  ['corral.positions', 'insert'],
  ['corral.positions', 'update'],
  ['corral.epochs', 'insert'],
  ['corral.epochs', 'update'],
] as const

async function missingPrivileges(db: AnyDatabase): Promise<Finding[]> {
  const wanted = JSON.stringify(RELAY_NEEDS)
  const { rows } = await sql<{ name: string; privilege: string }>`
    select w.need->>0 as name, w.need->>1 as privilege from json_array_elements(${wanted}::json) as w(need)
    where not (has_schema_privilege('corral', 'usage') and has_table_privilege(w.need->>0, w.need->>1))
    union all
    select 'function corral.prune_outbox(interval)', 'execute'
    where not has_function_privilege('corral.prune_outbox(interval)', 'execute')`.execute(db.withoutPlugins())
  return rows.map(({ name, privilege }) =>
    finding(
      'relay.privilege',
      name,
      `the role of \`db\` may not ${privilege}`,
      `grant ${privilege} on ${name} to <role>;`,
    ),
  )
}
