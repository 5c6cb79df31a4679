import { type RawBuilder, sql } from 'kysely'
import type { Clock } from '../../core/clock.js'
import { ConfigError, SourceError } from '../../core/errors.js'
import type { EmitEvent } from '../../core/events.js'
import type { ChangedTable, ChangePage, ChangeReader, ChangeSource, SourceChange } from '../../core/ports.js'
import type { AnyDatabase } from './catalog-query.js'
import { endOfLog, formatLsn, type Lsn, parseLsn } from './lsn.js'
import { CORRAL_SCHEMA } from './outbox-sql.js'
import type { RelationDirectory } from './relation-directory.js'
import { RelayDatabase } from './relay-database.js'
import { changesOf } from './slot-change.js'
import { SlotDecoder, type SlotTransaction } from './slot-decoder.js'
import { type LoggedChange, SlotLog } from './slot-log.js'
import { prepareSlot, readEnd } from './slot-preparation.js'
import { readSlot, type SlotState } from './slot-state.js'
import { type ConnectionOptions, SlotStream } from './slot-stream.js'
import { SlotTables } from './slot-tables.js'

/** How long one read waits for what the server still has to tell, before it returns without. */
const PATIENCE_MS = 250
const ASK_EVERY_MS = 10
/** How finely past positions are known. */
const STEP_MS = 5_000

/** Everything up to here has done its work: when, by the server's clock; `BEGINNING`: what came before never has to come again. */
interface Settled {
  readonly lsn: Lsn
  readonly atMs: number
}

const BEGINNING = Number.NEGATIVE_INFINITY

/**
 * `ChangeSource` over a logical-replication slot. The server pushes what commits, in commit order; a read is complete when the server has
 * come to where its log ended as the read began, because what is visible to anybody then has been written to the log before.
 *
 * The slot is confirmed `keepMs` after the relay has settled, so that the next leader finds the replay window in it again; this one
 * has it in memory. The server keeps so much more of its log; where that gets scarce, the slot is confirmed at once.
 * See docs/design/decisions/0015-a-slot-as-change-source.md.
 */
export class SlotSource implements ChangeSource {
  readonly #options: SlotSourceOptions
  readonly #database: RelayDatabase
  readonly #tables: SlotTables
  readonly #stream: SlotStream
  readonly #log: SlotLog
  /** Newest last, and never empty. */
  #settled: readonly Settled[]
  /** What the slot has confirmed, or is about to: from here on it tells again. */
  #kept: Settled
  /** Changes may be missing that the slot never told, or that did not fit into memory. */
  #isGap: boolean
  /** The end of the poll under way, and what has been asked with it. */
  #poll: { readonly upto: Lsn; readonly nextXid: bigint; readonly nowMs: number } | undefined
  /** The end of the last poll of which every page has been read. */
  #position: Lsn
  #onNews = () => {}

  private constructor(options: SlotSourceOptions, parts: Parts) {
    this.#options = options
    this.#database = parts.database
    this.#tables = parts.tables
    this.#stream = parts.stream
    this.#log = parts.log
    this.#settled = parts.settled
    this.#kept = parts.settled[0] as Settled
    this.#position = (parts.settled.at(-1) as Settled).lsn
    this.#isGap = parts.isGap
    parts.sink.onNews = () => this.#onNews()
  }

  /** Goes on where the namespace's last relay has settled. @throws SourceError, ConfigError */
  static async open(options: SlotSourceOptions): Promise<SlotSource> {
    const { connection, slot, clock, maxRows, maxChanges, namespace } = options
    const db = options.db.withoutPlugins()
    const database = new RelayDatabase({ ...options, source: 'slot' })
    const tables = new SlotTables(database)
    await tables.check()
    const { state, isNew } = await prepareSlot({ db, connection, slot, clock })
    const positions = sql.raw(`${CORRAL_SCHEMA}.slot_positions`)
    const [last] = await database.run<Record<'settled' | 'settled_ms' | 'kept', string> & { kept_ms: string | null }>(
      'reading the position',
      sql`select settled::text as settled, (extract(epoch from settled_at) * 1000)::text as settled_ms,
          kept::text as kept, (extract(epoch from kept_at) * 1000)::text as kept_ms from ${positions}
        where namespace = ${namespace} and slot = ${slot} and settled <= pg_current_wal_insert_lsn()`,
    )
    // What nobody has settled and the slot does not tell any more is missing.
    const isGap = isNew || last === undefined || parseLsn(last.settled) < state.confirmed
    const settled = isGap
      ? [{ lsn: state.confirmed, atMs: BEGINNING }]
      : [
          { lsn: parseLsn(last.kept), atMs: last.kept_ms === null ? BEGINNING : Number(last.kept_ms) },
          { lsn: parseLsn(last.settled), atMs: Number(last.settled_ms) },
        ]
    const { lsn: done } = settled.at(-1) as Settled
    const log = new SlotLog({ maxChanges, start: state.confirmed })
    const sink = { onNews: () => {} }
    const decoder = new SlotDecoder({
      maxRows,
      onTransaction: (transaction: SlotTransaction) => {
        log.add(transaction)
        if (transaction.endLsn <= done) log.skipTo(done)
        if (log.unread > 0) sink.onNews()
      },
    })
    const stream = await SlotStream.open({
      ...{ connection, slot, clock, confirmed: state.confirmed },
      sink: {
        take: (message) => decoder.take(message),
        passed: (lsn) => log.passed(lsn),
        onEnd: () => sink.onNews(),
      },
    })
    const source = new SlotSource(options, { database, tables, stream, log, settled, isGap, sink })
    try {
      await source.#assertIsHere()
    } catch (error) {
      await stream.close()
      throw error
    }
    if (isNew) options.emit({ type: 'relay.slot', slot, state: 'created', retainedBytes: 0, safeBytes: null })
    return source
  }

  async read(): Promise<ChangePage> {
    this.#throwIfEnded()
    if (this.#log.takeOverrun() || this.#isGap) return this.#gap()
    this.#poll ??= await this.#end()
    const { upto, nowMs } = this.#poll
    const { pageRows } = this.#options
    await this.#until(() => this.#log.unread > 0 || this.#log.received >= upto)
    // What has come since may have been too much to hold: what is left of it would pass for all there was.
    if (this.#log.takeOverrun()) return this.#gap()
    const page = this.#log.next(pageRows)
    const hasMore = this.#log.unread > 0 || this.#log.received < upto
    const changes = await this.#told(page, this.#poll.nextXid)
    if (!hasMore) {
      this.#position = upto
      this.#poll = undefined
    }
    const oldestMs = Math.min(nowMs, ...page.map(({ committedAtMs }) => committedAtMs))
    return { changes, hasMore, isGap: false, lagMs: nowMs - oldestMs }
  }

  async settle(): Promise<void> {
    const atMs = await this.#writeDown('clock_timestamp()', this.#position)
    const [before, last] = [this.#settled.at(-2), this.#settled.at(-1) as Settled]
    const kept = before !== undefined && last.atMs - before.atMs < STEP_MS ? this.#settled.slice(0, -1) : this.#settled
    this.#settled = [...kept, { lsn: this.#position, atMs }]
  }

  async replay(windowMs: number): Promise<ChangeReader> {
    const upto = this.#position
    const from = this.#settledBefore(windowMs)?.lsn
    let rest: LoggedChange[] | undefined
    let isBegun = false
    return {
      read: async () => {
        this.#throwIfEnded()
        // A slot that has just been opened is still telling what had been settled.
        await this.#until(() => this.#log.received >= upto)
        if (this.#log.received < upto) return { changes: [], hasMore: true, isGap: false, lagMs: 0 }
        if (!isBegun) rest = from === undefined ? undefined : this.#log.since(from)
        isBegun = true
        if (rest === undefined) return { changes: [], hasMore: false, isGap: true, lagMs: 0 }
        const page = rest.splice(0, this.#options.pageRows)
        const { nextXid } = this.#poll ?? (await this.#end())
        return { changes: await this.#told(page, nextXid), hasMore: rest.length > 0, isGap: false, lagMs: 0 }
      },
    }
  }

  /** Confirms the slot up to what was settled so long before the last time. */
  async prune(keepMs: number): Promise<void> {
    const kept = this.#settledBefore(keepMs)
    if (kept === undefined) return
    this.#log.forgetUpTo(kept.lsn)
    this.#settled = this.#settled.slice(this.#settled.indexOf(kept))
    await this.#confirm(kept)
  }

  /** Looks after the slot; and the server hears that this process is there. */
  async tend(): Promise<void> {
    const { slot, emit } = this.#options
    this.#stream.acknowledge()
    this.#throwIfEnded()
    const state = await this.#state()
    const { status = 'missing', retainedBytes = 0, safeBytes = null } = state ?? {}
    emit({ type: 'relay.slot', slot, state: status, retainedBytes, safeBytes })
    if (status === 'missing' || status === 'lost')
      throw new SourceError(`reading slot ${slot}`, `the slot is ${status}`)
    const isScarce = status === 'unreserved' || (safeBytes !== null && safeBytes < retainedBytes)
    const last = this.#settled.at(-1) as Settled
    if (isScarce) await this.#confirm(last)
  }

  describe(entity: string, columns: readonly string[]): Promise<ChangedTable> {
    return this.#database.describe(entity, columns)
  }

  epoch(least: number): Promise<number> {
    return this.#database.epoch(least)
  }

  /** Calls `act` when something arrives that has not been read, until the function that it returns is called. */
  listen(act: () => void): () => void {
    this.#onNews = act
    if (this.#log.unread > 0 || this.#stream.failure !== undefined) act()
    return () => {
      this.#onNews = () => {}
    }
  }

  close(): Promise<void> {
    return this.#stream.close()
  }

  #gap(): ChangePage {
    this.#isGap = false
    this.#kept = { lsn: this.#log.start, atMs: BEGINNING }
    this.#settled = [this.#kept]
    return { changes: [], hasMore: true, isGap: true, lagMs: 0 }
  }

  /** First written down, then confirmed: what the slot does not tell any more had been settled at a time that is known. */
  async #confirm(settled: Settled): Promise<void> {
    if (settled.lsn <= this.#kept.lsn) return
    this.#kept = settled
    const last = this.#settled.at(-1) as Settled
    await this.#writeDown(sql.raw(`to_timestamp(${last.atMs / 1_000}::float8)`), last.lsn)
    this.#stream.acknowledge(settled.lsn)
  }

  /** Returns the time at which the position was settled, milliseconds since the Unix epoch. */
  async #writeDown(at: 'clock_timestamp()' | RawBuilder<unknown>, lsn: Lsn): Promise<number> {
    const positions = sql.raw(`${CORRAL_SCHEMA}.slot_positions`)
    const { slot, namespace } = this.#options
    const kept = this.#kept
    const keptSeconds = kept.atMs === BEGINNING ? null : kept.atMs / 1_000
    const settledAt = at === 'clock_timestamp()' ? sql.raw(at) : at
    const [row] = await this.#database.run<{ at_ms: string }>(
      'settling the position',
      sql`insert into ${positions} (namespace, slot, settled, settled_at, kept, kept_at)
          values (${namespace}, ${slot}, ${formatLsn(lsn)}::pg_lsn, ${settledAt}, ${formatLsn(kept.lsn)}::pg_lsn, to_timestamp(${keptSeconds}::float8))
        on conflict (namespace) do update set slot = excluded.slot, settled = excluded.settled, settled_at = excluded.settled_at,
          kept = excluded.kept, kept_at = excluded.kept_at
        returning (extract(epoch from settled_at) * 1000)::text as at_ms`,
    )
    return Number(row?.at_ms)
  }

  /** @throws ConfigError when the slot is read on another server than `db` is on. */
  async #assertIsHere(): Promise<void> {
    const state = await this.#state()
    if (state?.activePid) return
    throw new ConfigError('relay.slot.connection', 'a connection to the server of `db`', 'another server')
  }

  async #state(): Promise<SlotState | undefined> {
    const { db, slot } = this.#options
    try {
      return await readSlot(db.withoutPlugins(), slot)
    } catch (error) {
      throw new SourceError(`looking after slot ${slot}`, error)
    }
  }

  /** The newest that was settled so long before the last one. Undefined: nobody knows any. */
  #settledBefore(windowMs: number): Settled | undefined {
    const lastMs = (this.#settled.at(-1) as Settled).atMs
    return this.#settled.findLast(({ atMs }) => atMs === BEGINNING || atMs <= lastMs - windowMs)
  }

  async #end() {
    try {
      const { insertLsn, ...rest } = await readEnd(this.#options.db.withoutPlugins())
      return { ...rest, upto: endOfLog(parseLsn(insertLsn)) }
    } catch (error) {
      throw new SourceError('asking where the log ends', error)
    }
  }

  /** Waits a moment at most. */
  async #until(isThere: () => boolean): Promise<void> {
    const { clock } = this.#options
    const limitMs = clock.monotonicMs() + PATIENCE_MS
    while (!isThere() && clock.monotonicMs() < limitMs) {
      this.#throwIfEnded()
      this.#stream.ask()
      await clock.sleep(ASK_EVERY_MS)
    }
  }

  #throwIfEnded(): void {
    const { failure } = this.#stream
    if (failure !== undefined) throw new SourceError(`reading slot ${this.#options.slot}`, failure)
  }

  async #told(page: readonly LoggedChange[], nextXid: bigint): Promise<SourceChange[]> {
    const changes: SourceChange[] = []
    for (const { change, xid } of page) {
      const { relation } = change
      const table = await this.#tables.find(relation)
      if (table === 'foreign') continue
      if (table === 'unknown') changes.push({ kind: 'bulk', entity: `${relation.schema}.${relation.name}` })
      else changes.push(...changesOf(change, table, wholeXid(xid, nextXid)))
    }
    return changes
  }
}

export interface SlotSourceOptions {
  /** One connection to the primary. */
  readonly db: AnyDatabase
  readonly namespace: string
  readonly connection: ConnectionOptions
  readonly slot: string
  readonly pageRows: number
  /** Of a transaction that changes more rows, one event is made for each of its tables. */
  readonly maxRows: number
  /** How many changes are held in memory. */
  readonly maxChanges: number
  readonly directory: RelationDirectory
  readonly clock: Clock
  readonly emit: EmitEvent
}

interface Parts {
  readonly database: RelayDatabase
  readonly tables: SlotTables
  readonly stream: SlotStream
  readonly log: SlotLog
  readonly settled: readonly Settled[]
  readonly isGap: boolean
  readonly sink: { onNews: () => void }
}

/** All 64 bits of a transaction's id of which the lower half is known: it is less than half of all ids away from the next one. */
function wholeXid(lower: number, next: bigint): string {
  return String(next + BigInt.asIntN(32, BigInt(lower) - next))
}
