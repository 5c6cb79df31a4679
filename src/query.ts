import type { CompiledQuery, Kysely, RawBuilder, SelectQueryBuilder, Simplify } from 'kysely'
import { createListCodec } from './adapters/codec/list-codec.js'
import { freezeList, handOut } from './adapters/codec/read-only.js'
import { areRelayed } from './adapters/postgres/durability.js'
import { statementIdentity } from './adapters/postgres/parameter-identity.js'
import { realTable } from './adapters/postgres/real-names.js'
import { readSight } from './adapters/postgres/sight.js'
import { changingParameter } from './adapters/postgres/time-parameters.js'
import { resolveSettings, type Settings, type TtlOptions } from './config.js'
import type { Clock } from './core/clock.js'
import { ConfigError, isCorralError, QueryUncacheableError, SourceError } from './core/errors.js'
import { type CacheKey, cacheKey, keyPrefix } from './core/key.js'
import { withinHardTimeout } from './engine/deadline.js'
import type { Fencer } from './engine/fencer.js'
import { keepLast } from './engine/keep-last.js'
import { failureCode } from './engine/load-failure.js'
import { type LoadedRows, QueryReader } from './engine/query-reader.js'
import { withSignal } from './engine/with-signal.js'
import { LoadCost } from './policy/load-cost.js'
import { type Session, sessionLog } from './session.js'
import { checkCallOptions } from './table/call-arguments.js'
import { asksCache, checkConsistency } from './table/consistency.js'
import type { CachedTables } from './table/open-table.js'
import { checkRowSecurity } from './table/options.js'
import type { TableParts } from './table/parts.js'
import { planQuery, type QueryPlan } from './table/query-plan.js'
import type { Consistency } from './table/repository-types.js'
import { type CorralTransaction, writeLogOf } from './transaction.js'

/** A SELECT made with Kysely's builder, or a whole statement in raw SQL. */
// biome-ignore lint/suspicious/noExplicitAny: any tables may be in scope; what matters is the row
export type CacheableQuery<Row> = SelectQueryBuilder<any, any, Row> | RawBuilder<Row>

export interface QueryOptions<DB> {
  /** Overrides the instance's `ttl`. */
  readonly ttl?: Omit<TtlOptions, 'absentMs'>
  /**
   * Tables the query reads besides those its operation tree shows: for raw SQL, views and functions. Given, it is the application's
   * word that there are no others; an empty list says that what cannot be seen reads none.
   */
  readonly dependsOn?: readonly (keyof DB & string)[]
  /** A result of more rows is returned and not stored. Default 1 000. */
  readonly maxRows?: number
  /** Part of the key. Change it when rows change though the statement and the tables' columns do not, such as other type parsers. */
  readonly schemaVersion?: string
  /**
   * `alike`: policies of row-level security show the same rows to all connections of all processes of the namespace. Without that word a query is
   * refused that reads a table of which policies show the role of `db` only some rows.
   */
  readonly rowSecurity?: 'alike'
}

export interface QueryReadOptions<DB> {
  /**
   * `cached` (default): the cache, if no table the result depends on was written since. `primary`: the database, passing the
   * cache by. `refresh`: the database, and the cache is brought up to it. `{ maxStaleMs }`: the cache, if it is proven to lack no
   * change that was committed more than so long before the call; needs outbox triggers on all tables the query reads.
   */
  readonly consistency?: Exclude<Consistency, 'verified'>
  /** Includes what this session wrote, in whichever process. */
  readonly session?: Session
  /** Ends this call's wait with `signal.reason`. The load it may share with others goes on. */
  readonly signal?: AbortSignal
  /** Runs the query in this transaction: it sees the transaction's own writes, and never touches the cache. */
  readonly tx?: CorralTransaction<DB>
}

/**
 * Runs the query, or answers from the cache. The rows and their list are frozen.
 *
 * Rejects with `QUERY_UNCACHEABLE` when what the result depends on cannot be known or must not be kept; with `SOURCE_FAILED`,
 * `FILL_TIMEOUT` or `OVERLOADED` if a needed load fails. Never because of Redis.
 */
export type CachedQuery<DB, Params, Row> = (
  ...call: unknown extends Params
    ? [params?: undefined, options?: QueryReadOptions<DB>]
    : [params: Params, options?: QueryReadOptions<DB>]
) => Promise<readonly Readonly<Simplify<Row>>[]>

export interface QueryParts extends TableParts {
  readonly tables: CachedTables
  /** By it the transactions of this instance are told from those of others. */
  readonly fencer: Fencer
  /** See `Assembly`. */
  ready(): Promise<void>
}

const OPTION_NAMES = ['ttl', 'dependsOn', 'maxRows', 'schemaVersion', 'rowSecurity']
const READ_OPTIONS = ['consistency', 'session', 'signal', 'tx']
const CONSISTENCIES = ['cached', 'primary', 'refresh'] as const
const DEFAULT_MAX_ROWS = 1_000
/** SQLSTATE of a statement that does not fit what the database has: a function, a column, a table or a schema is not there, or not for this role. */
const DOES_NOT_FIT = /^(42|3F)/
/** Counts up when the same statement comes to be stored or tracked in another way. */
const FORMAT = 1

// biome-ignore lint/suspicious/noExplicitAny: the user's Database type is checked at `corral.query`
type Build = (db: Kysely<any>, params: unknown) => CacheableQuery<object>
// biome-ignore lint/suspicious/noExplicitAny: as above
type Options = QueryOptions<any>

/** `corral.query` without its types, which `client.ts` puts on. */
export function openQuery(parts: QueryParts, settings: Settings, name: string, build: Build, options: Options) {
  checkQuery(name, build, options)
  const { freshMs, jitter, graceMs } = resolveSettings(options.ttl ? { ttl: options.ttl } : {}, settings).ttl
  const { beta, maxEarliness, maxLoads } = settings.refresh
  const { softTimeoutMs, hardTimeoutMs } = settings.load
  const { schemaVersion = '', maxRows = DEFAULT_MAX_ROWS, rowSecurity } = options
  const list = createListCodec({ schemaVersion, intervals: parts.intervals })
  const prefix = keyPrefix(parts.namespace, 'query', name)
  const reader = new QueryReader({
    parts,
    name,
    prefix,
    codec: { ...list, share: handOut },
    read: { graceMs, beta, maxEarliness, maxLoads, softTimeoutMs, hardTimeoutMs },
    fill: { jitter, graceMs, lease: settings.lease },
    cost: new LoadCost(),
    freshMs,
    maxRows,
  })
  // What the driver makes of dates depends on the time zone of the process.
  const fixed = [String(FORMAT), schemaVersion, Intl.DateTimeFormat().resolvedOptions().timeZone]

  const plans = new RecentPlans(parts.clock)
  /** Catalog and epoch are asked on the reader's behalf, who does not wait for them longer than for a load. */
  const inTime = <Answer>(answer: Promise<Answer>) => withinHardTimeout(parts.clock, name, hardTimeoutMs, answer)
  const makePlan = async (statement: CompiledQuery): Promise<KeyedPlan> => {
    await parts.ready()
    const dependsOn = options.dependsOn?.map((table) => realTable(parts.db, table))
    const plan = await planQuery(parts, { name, tree: statement.query, dependsOn, rowSecurity })
    const changing = await changingParameter(parts.db, statement)
    if (changing !== undefined) {
      const reason = `its parameter '${changing}' is read as a time, which is another each time`
      throw new QueryUncacheableError(name, reason, 'pass the time itself')
    }
    return {
      ...plan,
      key: cacheKey(prefix, [statementIdentity(statement, [...fixed, ...plan.marks, ...plan.columns])]),
    }
  }

  /**
   * Passes a failure on. A function that the statement calls may be as missing as what the database has missed first, and what was found out about it
   * holds until a migration makes both.
   */
  const failing = (identity: string) => (error: unknown) => {
    if (DOES_NOT_FIT.test(failureCode(error) ?? '')) {
      plans.forget(identity)
      parts.relations.forgetMissing()
    }
    throw error
  }

  // biome-ignore lint/suspicious/noExplicitAny: as above
  return async (params: unknown, read: QueryReadOptions<any> = {}): Promise<readonly object[]> => {
    checkCallOptions(`query ${name}`, read, READ_OPTIONS)
    const { consistency: wanted = 'cached' } = read
    const asked = checkConsistency(wanted, CONSISTENCIES)
    const { tx } = read
    if (tx !== undefined) {
      writeLogOf(tx, parts.fencer)
      return freezeList(await execute(build(tx, params), tx))
    }
    const statement = compile(name, build(parts.db, params), parts.db)
    const identity = statementIdentity(statement, fixed)
    const planned = plans.get(identity)
    const fail = failing(identity)
    const making = () => inTime(makePlan(statement).catch(fail))
    const plan = planned ?? plans.keep(identity, await withSignal(read.signal, making()))
    const { key, dependencies, marks } = plan
    const run = () =>
      load(parts.db, name, (db) => {
        const again = build(db, params)
        const isSame = statementIdentity(compile(name, again, db), fixed) === identity
        if (isSame) return execute(again, db)
        throw new QueryUncacheableError(
          name,
          'its function makes another statement each time it is called',
          'pass what changes, such as the time, as a parameter',
        )
      }).catch(fail)
    const session = sessionLog(read.session)
    const mustLoad = session !== undefined && marks.some((mark) => session.demandOf(mark) !== undefined)
    const consistency = mustLoad && asksCache(asked) ? 'primary' : asked
    const isBounded = typeof consistency === 'object'
    const provenBy = isBounded && (await withSignal(read.signal, inTime(isRelayed(parts, plan)))) ? marks : undefined
    const call = { key, dependencies, run, provenBy }
    const span = parts.telemetry.read('query', name)
    const answer = () => reader.read(call, isBounded ? consistency.maxStaleMs : consistency, span).catch(fail)
    return span.run(() => withSignal(read.signal, answer()))
  }
}

interface KeyedPlan extends QueryPlan {
  readonly key: CacheKey
  /** Asked for by the first bounded read; as old as the plan. */
  isRelayed?: Promise<boolean>
}

function isRelayed({ db, namespace }: TableParts, plan: KeyedPlan): Promise<boolean> {
  plan.isRelayed ??= areRelayed(db, namespace, plan.entities).catch((error) => {
    delete plan.isRelayed
    throw error
  })
  return plan.isRelayed
}

/** How long the plan of a statement with its parameters is used again, before tree and catalog are asked anew. */
const PLAN_KEEP_MS = 10_000
const MAX_PLANS = 1_000

/** Plans of the statements that were made last: a call that repeats an earlier one need not be looked into. */
class RecentPlans {
  readonly #clock: Pick<Clock, 'monotonicMs'>
  readonly #plans = new Map<string, { readonly plan: KeyedPlan; readonly madeAtMs: number }>()

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock
  }

  get(identity: string): KeyedPlan | undefined {
    const known = this.#plans.get(identity)
    return known && this.#clock.monotonicMs() - known.madeAtMs < PLAN_KEEP_MS ? known.plan : undefined
  }

  forget(identity: string): void {
    this.#plans.delete(identity)
  }

  keep(identity: string, plan: KeyedPlan): KeyedPlan {
    keepLast(this.#plans, identity, { plan, madeAtMs: this.#clock.monotonicMs() }, MAX_PLANS)
    return plan
  }
}

/** The query on a connection of its own, together with what that connection sees: the snapshot is taken first, so it is no newer. */
async function load(
  db: TableParts['db'],
  name: string,
  run: (db: TableParts['db']) => Promise<object[]>,
): Promise<LoadedRows> {
  try {
    return await db.connection().execute(async (connection) => {
      const { snapshot, loadedFrom } = await readSight(connection)
      return { rows: freezeList(await run(connection)), snapshot, loadedFrom }
    })
  } catch (error) {
    throw isCorralError(error) ? error : new SourceError(`load of query ${name}`, error)
  }
}

function compile(name: string, query: CacheableQuery<object>, db: TableParts['db']) {
  if (typeof query?.compile !== 'function' || typeof query.execute !== 'function') {
    throw new ConfigError(`query ${name}`, 'a function that returns a Kysely query', query)
  }
  return query.compile(db)
}

async function execute(query: CacheableQuery<object>, db: TableParts['db']): Promise<object[]> {
  const result = await query.execute(db)
  return 'rows' in result ? [...result.rows] : result
}

function checkQuery(name: string, build: Build, options: Options): void {
  if (typeof name !== 'string' || name === '' || name.length > 200) {
    throw new ConfigError('query name', 'a string of 1 to 200 characters', name)
  }
  if (typeof build !== 'function')
    throw new ConfigError(`query ${name}`, 'a function that returns a Kysely query', build)
  checkCallOptions(`query ${name}`, options, OPTION_NAMES)
  const { maxRows, schemaVersion, dependsOn, rowSecurity } = options
  checkRowSecurity(`query ${name}.rowSecurity`, rowSecurity)
  if (maxRows !== undefined && !(Number.isInteger(maxRows) && maxRows >= 0)) {
    throw new ConfigError(`query ${name}.maxRows`, 'a whole number from 0', maxRows)
  }
  if (schemaVersion !== undefined && typeof schemaVersion !== 'string') {
    throw new ConfigError(`query ${name}.schemaVersion`, 'a string', schemaVersion)
  }
  if (dependsOn !== undefined && !(Array.isArray(dependsOn) && dependsOn.every((table) => typeof table === 'string'))) {
    throw new ConfigError(`query ${name}.dependsOn`, 'a list of table names', dependsOn)
  }
}
