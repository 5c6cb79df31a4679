import { sql } from 'kysely'
import type { ChangedTable, ChangePage, ChangeReader, ChangeSource, SourceChange } from '../../core/ports.js'
import { compareVersions, toVersion } from '../../core/version.js'
import type { AnyDatabase } from './catalog-query.js'
import { CORRAL_SCHEMA, OUTBOX_OP, PRUNES_FOR } from './outbox-sql.js'
import type { RelationDirectory } from './relation-directory.js'
import { withinLimit } from './relay-connection.js'
import { RelayDatabase } from './relay-database.js'

/** Sees nothing: everything in the outbox comes after it. */
const BEGINNING = '1:1:'
/** When a namespace's first position began to be moved: never. Nothing that came after it has been let go while it is there. */
const ORIGIN = sql.raw(`timestamptz '-infinity'`)
/** A half of the outbox is truncated, and its files are taken off the disk. */
const PRUNE_LIMIT_MS = 300_000
/** How finely past positions are kept, and how often an unchanged one is written again. */
const POSITION_STEP = '5 seconds'

interface OutboxRow {
  readonly id: string
  readonly xid: string
  readonly entity: string
  readonly op: string
  readonly key: readonly string[] | null
  readonly version: string | null
  readonly lookups: readonly (Named | null)[] | null
  /** Column, value and former value, one after the other. */
  readonly column_values: readonly (string | null)[] | null
}

type Named = readonly [name: string, ...values: (string | null)[]]

interface Answer {
  readonly upto: string
  readonly isKept: boolean
  readonly ageMs: number
  readonly rows: readonly OutboxRow[] | null
}

interface Start {
  readonly position: string
  readonly isGap: boolean
}

interface Row {
  readonly position: string
  /** `1` or `0`. */
  readonly gap: string
}

/** A poll under way: what lies between two snapshots, read a page at a time. */
interface Reading {
  readonly upto: string
  readonly afterXid: string
  readonly afterId: string
}

/**
 * `ChangeSource` over the outbox. It reads what lies between two snapshots: rows are new when their transaction was not visible in
 * the last one (its id is past that snapshot's `xmax`, or was in progress in it) and is in the current one.
 *
 * So no row is lost, whatever order transactions commit in, as happens where rows after the highest id seen are asked for; and no
 * row waits for a transaction other than its own, as happens where rows wait for the oldest open one. This is how PgQ's
 * batches work (Skytools, `pgq.batch_event_sql`).
 *
 * What one poll finds comes in pages. They need no common database snapshot: which transactions they are of is said by the
 * position, and rows of the outbox never change.
 */
export class OutboxSource implements ChangeSource {
  readonly #options: OutboxSourceOptions
  readonly #database: RelayDatabase
  readonly #namespace: string
  #position: string
  /** Changes came before the position that the outbox may not hold any more. */
  #isGap: boolean
  /** What it reads lies before the last position that was settled, where only older positions keep it. */
  readonly #isReplay: boolean
  #reading: Reading | undefined

  private constructor(options: OutboxSourceOptions, start: Start, isReplay: boolean) {
    this.#options = options
    this.#database = new RelayDatabase({ ...options, source: 'outbox' })
    this.#namespace = options.namespace
    this.#position = start.position
    this.#isGap = start.isGap
    this.#isReplay = isReplay
  }

  /**
   * Goes on where the namespace's last relay has settled. Where none has, with a gap, and all that the outbox holds: other namespaces' relays have
   * not waited for this one, so nobody knows what it has held before.
   */
  static async open(options: OutboxSourceOptions): Promise<OutboxSource> {
    const positions = sql.raw(`${CORRAL_SCHEMA}.positions`)
    const { namespace } = options
    // An origin that stands alone is of a relay that has not come to settle anything.
    const [row] = await new RelayDatabase({ ...options, source: 'outbox' }).run<Row>(
      'reading the position',
      sql`with known as (
          select position from ${positions} where namespace = ${namespace} and began > ${ORIGIN} order by at desc limit 1
        ), origin as (
          insert into ${positions} as p (namespace, began, position)
          select ${namespace}, ${ORIGIN}, ${BEGINNING}::pg_snapshot where not exists (select from known)
          on conflict (namespace, began) do update set at = excluded.at
          returning position)
        select coalesce(known.position, origin.position)::text as position, (known.position is null)::int::text as gap
        from known full join origin on true`,
    )
    const { position, gap } = row as Row
    return new OutboxSource(options, { position, isGap: gap === '1' }, false)
  }

  get position(): string {
    return this.#position
  }

  async read(): Promise<ChangePage> {
    if (this.#isGap) {
      this.#isGap = false
      return { changes: [], hasMore: !this.#isReplay, isGap: true, lagMs: 0 }
    }
    const { afterXid = '0', afterId = '0', upto = null } = this.#reading ?? {}
    const answer = await this.#page(upto, afterXid, afterId)
    // Somebody has pruned what was still to be read here.
    if (!answer.isKept) return { changes: [], hasMore: false, isGap: true, lagMs: 0 }
    if (this.#reading === undefined && isEarlier(answer.upto, this.#position)) {
      // Transaction ids have gone back: a backup was restored, or a standby took over that had not received all of them.
      this.#position = answer.upto
      return { changes: [], hasMore: false, isGap: true, lagMs: 0 }
    }
    const rows = answer.rows ?? []
    const last = rows.at(-1)
    const hasMore = last !== undefined && rows.length === this.#options.pageRows
    this.#reading = hasMore ? { upto: answer.upto, afterXid: last.xid, afterId: last.id } : undefined
    if (!hasMore) this.#position = answer.upto
    return { changes: rows.map(changeOf), hasMore, isGap: false, lagMs: answer.ageMs }
  }

  async settle(): Promise<void> {
    const positions = sql.raw(`${CORRAL_SCHEMA}.positions`)
    await this.#database.run(
      'settling the position',
      sql`with moved as (
          update ${positions} p set position = ${this.#position}::pg_snapshot, at = clock_timestamp()
          where p.namespace = ${this.#namespace}
            and p.began = (select max(q.began) from ${positions} q where q.namespace = p.namespace)
            and p.began > clock_timestamp() - ${POSITION_STEP}::interval
          returning 1)
        insert into ${positions} (namespace, position)
        select ${this.#namespace}, ${this.#position}::pg_snapshot where not exists (select from moved)`,
    )
  }

  async replay(windowMs: number): Promise<ChangeReader> {
    const position = await this.#positionBefore(windowMs)
    const start = { position: position ?? this.#position, isGap: position === undefined }
    return new OutboxSource(this.#options, start, true)
  }

  async prune(keepMs: number): Promise<void> {
    const prune = sql.raw(`${CORRAL_SCHEMA}.prune_outbox`)
    const call = sql`select ${prune}(${keepMs} * interval '1 millisecond') from set_config(${PRUNES_FOR}, ${this.#namespace}, true)`
    await this.#database.run('pruning the outbox', withinLimit(PRUNE_LIMIT_MS, call))
  }

  describe(entity: string, columns: readonly string[]): Promise<ChangedTable> {
    return this.#database.describe(entity, columns)
  }

  epoch(least: number): Promise<number> {
    return this.#database.epoch(least)
  }

  /** The newest position that was settled so long before the last one, or the origin. Undefined: there is none so old any more. */
  async #positionBefore(windowMs: number): Promise<string | undefined> {
    const positions = sql.raw(`${CORRAL_SCHEMA}.positions`)
    const rows = await this.#database.run<{ position: string }>(
      'reading the position',
      sql`select position::text as position from ${positions} where namespace = ${this.#namespace} and (began = ${ORIGIN}
        or at <= (select max(at) from ${positions} where namespace = ${this.#namespace}) - ${windowMs} * interval '1 millisecond')
        order by at desc limit 1`,
    )
    return rows[0]?.position
  }

  /** One statement; the first of a poll takes the snapshot up to which the others read. */
  async #page(upto: string | null, afterXid: string, afterId: string): Promise<Answer> {
    const outbox = sql.raw(`${CORRAL_SCHEMA}.outbox`)
    const after = sql`(${afterXid}::xid8, ${afterId}::bigint)`
    const xmax = this.#position.split(':')[1] as string
    // One comparison of pairs: of a stretch from here to there the planner thinks that it has few rows, and would sort all that is left for each page.
    const start = compareVersions(afterXid, xmax) < 0 ? sql`(${xmax}::xid8, -1::bigint)` : after
    const limit = sql.raw(String(this.#options.pageRows))
    const rows = await this.#database.run<{ answer: string }>(
      'reading the outbox',
      sql`with span as materialized (
          select ${this.#position}::pg_snapshot as since, coalesce(${upto}::pg_snapshot, pg_current_snapshot()) as upto
        ), page as (
          (select o.* from span, lateral (select xid from pg_snapshot_xip(span.since) xid where pg_visible_in_snapshot(xid, span.upto)) open
            cross join lateral (
              select o.* from ${outbox} o where o.xid = open.xid and (o.xid, o.id) > ${after} order by o.id limit ${limit}) o
            order by o.xid, o.id limit ${limit})
          union all
          (select o.* from ${outbox} o
            where (o.xid, o.id) > ${start} and o.xid < (select pg_snapshot_xmax(upto) from span)
              and pg_visible_in_snapshot(o.xid, (select upto from span))
            order by o.xid, o.id limit ${limit})
          order by xid, id limit ${limit}
        )
        select json_build_object(
          'upto', (select upto::text from span),
          'isKept', ${this.#isKept()},
          'ageMs', coalesce((select extract(epoch from clock_timestamp() - min(at)) * 1000 from page), 0),
          'rows', (select json_agg(json_build_object('id', id::text, 'xid', xid::text, 'entity', entity, 'op', op, 'key', key,
            'version', version::text, 'lookups', lookups, 'column_values', column_values) order by xid, id) from page)
        )::text as answer`,
    )
    return JSON.parse((rows[0] as { answer: string }).answer)
  }

  /** In the page's own statement: that holds a lock on the outbox before it sees anything, so nothing is truncated after it has looked. */
  #isKept() {
    if (!this.#isReplay) return sql`true`
    const positions = sql.raw(`${CORRAL_SCHEMA}.positions`)
    return sql`exists (select from ${positions} p, span where p.namespace = ${this.#namespace}
            and pg_snapshot_xmin(p.position) <= pg_snapshot_xmin(span.since))`
  }
}

export interface OutboxSourceOptions {
  /** One connection to the primary. */
  readonly db: AnyDatabase
  readonly namespace: string
  readonly pageRows: number
  readonly directory: RelationDirectory
}

function changeOf({ entity, op, key, version, xid, lookups, column_values }: OutboxRow): SourceChange {
  if (key === null) return { kind: op === OUTBOX_OP.truncate ? 'truncate' : 'bulk', entity }
  return {
    kind: 'row',
    entity,
    id: key,
    xid,
    version: toVersion(version) ?? null,
    absent: op === OUTBOX_OP.delete,
    lookups: present(lookups).flatMap(([columns, ...value]) =>
      value.some((part) => part === null) ? [] : [{ columns, value: value as string[] }],
    ),
    values: valuesIn(column_values ?? []),
  }
}

/** A value that has not changed once. */
function valuesIn(triples: readonly (string | null)[]): { column: string; value: string | null }[] {
  return triples.flatMap((column, at) => {
    if (at % 3 !== 0) return []
    const [value = null, former = null] = triples.slice(at + 1, at + 3)
    const values = former === null || former === value ? [value] : [value, former]
    return values.map((each) => ({ column: String(column), value: each }))
  })
}

function present(list: readonly (Named | null)[] | null): Named[] {
  return (list ?? []).filter((each) => each !== null)
}

/** Whether a snapshot knows of fewer transactions than one that was taken before it. */
function isEarlier(snapshot: string, before: string): boolean {
  return compareVersions(snapshot.split(':')[1] as string, before.split(':')[1] as string) < 0
}
