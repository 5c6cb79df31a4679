import type { Kysely } from 'kysely'
import type { EncryptionOptions } from './adapters/codec/encryption-options.js'
import type { TelemetryOptions } from './adapters/otel/telemetry-options.js'
import type { Durability } from './adapters/postgres/durability.js'
import type { AnyDatabase } from './adapters/postgres/row-writer.js'
import type { RedisClient } from './adapters/redis/connection.js'
import { assemble, type Seams } from './assembly.js'
import { type OptionGroups, resolveSettings } from './config.js'
import { ClosedError, ConfigError, isCorralError } from './core/errors.js'
import type { CorralEvent, EmitEvent } from './core/events.js'
import { withinHardTimeout } from './engine/deadline.js'
import type { FenceState } from './engine/fencer.js'
import type { HotKey } from './engine/hot-keys.js'
import { OpenTables } from './engine/open-tables.js'
import { type FencedLock, type LockOptions, runFenced } from './fenced-lock.js'
import { isOperated, type RepositoryInside, withInside } from './inside.js'
import { checkInstanceOptions } from './instance-options.js'
import { type CacheableQuery, type CachedQuery, openQuery, type QueryOptions } from './query.js'
import { type RelayOptions, resolveRelay } from './relay-options.js'
import type { Repository, RepositoryOptions } from './repository.js'
import { type Session, SessionLog } from './session.js'
import { type AuditOptions, type AuditReport, auditTables } from './table/audit.js'
import { checkCallOptions, checkWork } from './table/call-arguments.js'
import { openOnce } from './table/open-once.js'
import { type CachedTables, openTable } from './table/open-table.js'
import { resolveTable } from './table/options.js'
import { type RebuildOptions, type RebuildProgress, rebuildCopies } from './table/rebuild.js'
import type { ColumnList, TableName } from './table/repository-types.js'
import { TableKeys } from './table/table-keys.js'
import { TableRepository } from './table-repository.js'
import {
  type CorralTransaction,
  runTransaction,
  TRANSACTION_OPTIONS,
  type TransactionOptions,
  type TransactionResult,
} from './transaction.js'

export interface CorralOptions<DB> extends Omit<OptionGroups, 'relay'> {
  /** The application's own Kysely instance, for Postgres: no transaction, and no plugins that show one call other rows than another. It decides everything; Corral never closes it. */
  readonly db: Kysely<DB>
  /**
   * The application's own ioredis `Redis` or `Cluster`. Corral opens connections of its own from it and never closes it.
   * Left out: the same protocol runs on a store in this process, which is right for one process only.
   */
  readonly redis?: RedisClient
  /** First part of every key: 1 to 64 of `A-Z a-z 0-9 _ . -`. Everything that shares a namespace shares its entries, so it must share the database. */
  readonly namespace: string
  /**
   * 16 characters or more, shared by all processes of the namespace: messages between them without its signature are refused. Of several the first
   * signs and all are accepted, so that it can be changed while processes run: `[old, new]` everywhere, then `[new, old]`, then `new`. Default: unsigned.
   */
  readonly secret?: string | readonly string[]
  /** Payloads of entries, and rows on their way to other processes, are encrypted with AES-256-GCM. The same keys in all processes. Default: none. */
  readonly encryption?: EncryptionOptions
  /** Receives every event, synchronously. It must not wait; what it throws is dropped. Default: none. */
  readonly onEvent?: (event: CorralEvent) => void
  /**
   * Reads of repositories with `loadFrom: 'replica'` that miss are loaded over its `db`, from a standby. Give it in every process of the
   * namespace: `{}` where nothing is loaded from a standby, so that fences are remembered for those who do. Default: none.
   */
  readonly replica?: { readonly db?: Kysely<DB> }
  /** Spans and metrics by `@opentelemetry/api`: they cost little without an SDK. `false`: none. See docs/guides/observability.md. */
  readonly telemetry?: boolean | TelemetryOptions
  /** Runs a relay in this process, which keeps one connection of `db`. See docs/guides/outbox.md. Default: none. */
  readonly relay?: boolean | RelayOptions
}

export interface CorralStats {
  /**
   * `closed`: the cache is used. `open`: it is not. `half-open`: one call is finding out. In a cluster each primary has a breaker of its own,
   * and this is the worst of them: `open` may mean a part of the keys. The `breaker` events say which.
   */
  readonly breaker: 'closed' | 'open' | 'half-open'
  /** Fences the cache has not acknowledged yet. */
  readonly pendingFences: number
  /** Statements of this process at the database now, and waiting for their turn. */
  readonly loads: { readonly running: number; readonly waiting: number }
  /**
   * `outbox`, `slot`: every change of every opened table reaches the cache, if a relay runs, which reads that. `ttl-only`: of one of them no relay
   * is told, or none is open.
   */
  readonly durability: Durability
  /**
   * How far the cache may be behind the database, as far as this process can prove: rises without end when the relay does not work.
   * Undefined: no read with `maxStaleMs` has asked for it lately, or nothing is proven yet.
   */
  readonly watermarkAgeMs: number | undefined
  /** `leader`: this process relays. `standby`: it would. `off`: it runs no relay. */
  readonly relay: 'leader' | 'standby' | 'off'
}

export interface Corral<DB> {
  /**
   * A repository for one table. Nothing is read until it is first used; then the table is checked once. Make it once: what it learns and holds in
   * memory lives with it, and with the instance.
   *
   * @throws ConfigError for bad options. The table's own faults reject the first call.
   */
  repository<
    T extends TableName<DB>,
    const Key extends ColumnList,
    const Unique extends readonly ColumnList[] = readonly [],
  >(table: T, options: RepositoryOptions<DB, T, Key, Unique>): Repository<DB, T, Key, Unique>
  /**
   * Runs `work` in one database transaction. What it writes through `repository.in(tx)` reaches the cache when it has committed,
   * and never if it has not.
   *
   * @throws whatever `work` or the database threw.
   */
  transaction<Value>(
    work: (tx: CorralTransaction<DB>) => Promise<Value>,
    options?: TransactionOptions,
  ): Promise<TransactionResult<Value>>
  /**
   * A session, new or continued from the token of an earlier one: reads under it are never older than what it wrote or saw,
   * in whichever process that was.
   *
   * @param options.invalid what becomes of a token that is none of ours. `throw`: TokenError. `ignore`: a new session begins. Default `throw`.
   * @throws TokenError
   */
  session(token?: string, options?: { readonly invalid?: 'throw' | 'ignore' }): Session
  /**
   * A cached query. `build` makes it from a Kysely instance and the parameters of a call; it may run more than once a call, and
   * must make the same statement each time. The tables it depends on are read off the statement, joins, subqueries and WITH
   * included; a committed write to one of them through a repository or `corral.transaction` makes the result old. Make it once, and not for each
   * call: it lives as long as the instance.
   *
   * @param name part of the key and of events. What it names is the statement: two queries may share a name.
   * @throws ConfigError for bad options. What cannot be cached rejects the first call with `QUERY_UNCACHEABLE`.
   */
  query<Params, Row>(
    name: string,
    build: (db: Kysely<DB>, params: Params) => CacheableQuery<Row>,
    options?: QueryOptions<DB>,
  ): CachedQuery<DB, Params, Row>
  /**
   * Runs `work` while holding the lock of that name. The lock saves effort; what protects is its token, which the protected statement or transaction asks for:
   * see `FencedLock`. Needs the migration `fencedLocks`, and never runs `work` without the database. Redis may be away.
   *
   * @throws ConfigError for a bad name or option; LockBusyError when somebody else holds it for longer than `waitMs`; ClosedError when this instance is closed
   * before it is given; SourceError when the database gives no token; whatever `work` throws.
   */
  withFencedLock<Value>(name: string, work: (lock: FencedLock) => Promise<Value>, options?: LockOptions): Promise<Value>
  stats(): CorralStats
  /**
   * Makes everything stored until now a miss, in every process: after a change that no trigger saw, such as a restored table. `fenced`: the
   * others know within `bus.heartbeatMs`. `pending`: the cache did not answer; they know as soon as it does.
   *
   * @throws ConfigError where the database has no outbox, SourceError.
   */
  bumpEpoch(): Promise<FenceState>
  /**
   * Compares cached copies, in the cache and in this process' memory, with their rows, at a bounded rate, and evicts those that differ if
   * it is told to. Those that a write in flight has not reached yet are not counted. See docs/guides/audit-and-rebuild.md.
   *
   * @throws ConfigError for bad options, SourceError or CacheUnavailableError when either stays away, `signal.reason`.
   */
  audit(options?: AuditOptions<TableName<DB>>): Promise<AuditReport>
  /**
   * After an incident: drops every copy that was filled before it ended, or replaces it by what the database has, at a bounded rate and
   * under the leases that readers use. See docs/guides/audit-and-rebuild.md.
   *
   * @throws as `audit`, and KeyError for an id that is none.
   */
  rebuild(options: RebuildOptions<TableName<DB>>): Promise<RebuildProgress>
  /** The keys this process reads most, of repositories with `hotKeys`: the first `limit` (default 10), and all hot ones beyond. */
  hotKeys(limit?: number): HotKey[]
  /**
   * Waits for calls under way and for work in the background, for `load.hardTimeoutMs` at most or hardly longer, tries pending fences a last
   * time, and closes what Corral itself opened. Calls made from now on reject with `CLOSED`, but for those within a transaction under way.
   * Never rejects.
   */
  close(): Promise<void>
}

/**
 * Assembles an instance. Connects nothing by itself but the connections it opens from `redis`, in the background.
 *
 * @throws ConfigError naming the option, what was expected and what was found.
 */
export function createCorral<DB>(options: { readonly db: Kysely<DB> } & CorralOptions<DB>): Corral<DB> {
  return createWithSeams(options, {})
}

/** `createCorral` for tests and simulations, which bring their own clock, chance, store or channel. */
export function createWithSeams<DB>(options: CorralOptions<DB>, seams: Seams): Corral<DB> {
  const { db, redis, namespace, secret, encryption, ...rest } = checkInstanceOptions(options)
  const { onEvent, replica, telemetry: traces, relay, ...groups } = rest
  const { runs, times, slot } = resolveRelay(relay)
  const relays = runs && !isOperated()
  const settings = resolveSettings({ ...groups, relay: times })
  const sink = onEvent && safely(onEvent)
  const chosen = { settings, encryption, replica, relays, slot, telemetry: traces, onEvent: sink }
  const secrets = secret === undefined ? [] : [secret].flat()
  const assembly = assemble({ db, redis, namespace, secrets, ...chosen }, seams)
  const { fencer, gate, pending, store } = assembly
  const tables: CachedTables = new OpenTables()
  const keys = new TableKeys()
  const watch = { ...assembly.table, tables }
  const { calls, clock, telemetry } = assembly.table
  let closing: Promise<void> | undefined
  const assertOpen = () => {
    if (closing) throw new ClosedError()
  }
  const repositories: RepositoryInside[] = []
  const runJob = async <Result>(job: () => Promise<Result>) => {
    assertOpen()
    return job().catch((error) => {
      // What went away with the instance is no failure of its own.
      assertOpen()
      throw error
    })
  }
  const jobs = { ...watch, ...assembly.jobs, fencer, assertOpen }
  sink?.({ type: 'started', store: redis ? 'redis' : 'in-process' })

  const corral: Corral<DB> = {
    repository(table, repositoryOptions) {
      assertOpen()
      const tableOptions = resolveTable(table, repositoryOptions, settings, replica)
      const unique = (tableOptions.unique ?? []).map((columns) => (typeof columns === 'string' ? [columns] : columns))
      const open = (on?: AnyDatabase) => openTable(assembly, tableOptions, keys, on)
      const { hardTimeoutMs } = tableOptions.read
      const opener = openOnce(open, assertOpen, (opening) => withinHardTimeout(clock, table, hardTimeoutMs, opening))
      tables.add({ name: table, ...opener })
      const repository = new TableRepository({ db, fencer, watch, calls, unique, clock, telemetry, ...opener })
      repositories.push({ table, options: tableOptions, repository, open: opener.table })
      return repository as never
    },
    async transaction(work, transactionOptions = {}) {
      assertOpen()
      checkWork('transaction', work)
      checkCallOptions('transaction', transactionOptions, TRANSACTION_OPTIONS)
      const run = () => runTransaction({ db, fencer, watch, calls }, transactionOptions, work)
      return telemetry.write('transaction', undefined).run(run)
    },
    query(name, build, queryOptions = {}) {
      assertOpen()
      const parts = { ...watch, fencer, ready: () => assembly.ready() }
      const run = openQuery(parts, settings, name, build as never, queryOptions)
      const runWhenReady = async (...call: Parameters<typeof run>) => {
        // Within a transaction it belongs to a call that is waited for, and needs nothing that is closed.
        if (call[1]?.tx === undefined) assertOpen()
        return run(...call)
      }
      return ((...call: Parameters<typeof run>) => calls.count(runWhenReady(...call))) as never
    },
    session(token, sessionOptions = {}) {
      checkCallOptions('session', sessionOptions, ['invalid'])
      const { invalid = 'throw' } = sessionOptions
      if (invalid !== 'throw' && invalid !== 'ignore') {
        throw new ConfigError('session.invalid', '`throw` or `ignore`', invalid)
      }
      try {
        return new SessionLog({ clock, secrets, token })
      } catch (error) {
        if (invalid === 'ignore' && isCorralError(error, 'TOKEN_INVALID')) return new SessionLog({ clock, secrets })
        throw error
      }
    },
    async withFencedLock(name, work, lockOptions = {}) {
      assertOpen()
      return runFenced(assembly.locks, name, work, lockOptions)
    },
    stats: () => ({
      breaker: store.breakerState,
      pendingFences: pending.size,
      loads: { running: gate.running, waiting: gate.waiting },
      durability: assembly.leastDurability(),
      relay: assembly.relay?.role ?? 'off',
      watermarkAgeMs: assembly.watermarkAgeMs(),
    }),
    async bumpEpoch() {
      assertOpen()
      return assembly.bumpEpoch()
    },
    audit: (auditOptions = {}) => runJob(() => auditTables(jobs, auditOptions)),
    rebuild: (rebuildOptions) => runJob(() => rebuildCopies(jobs, rebuildOptions)),
    hotKeys(limit = 10) {
      if (!(Number.isInteger(limit) && limit >= 0))
        throw new ConfigError('hotKeys.limit', 'a whole number from 0', limit)
      return assembly.table.hotKeys.report(limit)
    },
    close() {
      closing ??= assembly.close()
      return closing
    },
  }
  const given = { db, replica, redis, namespace, secret, telemetry: traces }
  return withInside(corral, { ...given, settings, slot, runs, repositories, assembly })
}

/** A listener must not be able to break what it listens to. */
function safely(onEvent: EmitEvent): EmitEvent {
  return (event) => {
    try {
      const answer: unknown = onEvent(event)
      // An async function's, whose rejection would end the process.
      if (answer instanceof Promise) answer.catch(() => {})
    } catch {
      // Its own fault is its own affair; there is nobody to tell but the listener itself.
    }
  }
}
