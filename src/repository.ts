import type { AliasableExpression, Kysely } from 'kysely'
import type { L1Options, TtlOptions } from './config.js'
import type { Session } from './session.js'
import type { Explanation } from './table/explain.js'
import type {
  CheckedKey,
  CheckedLookups,
  Consistency,
  IdOf,
  KeyColumns,
  LookupColumn,
  LookupOf,
  NewRow,
  RowOf,
  RowPatch,
  TableName,
  VersionColumn,
  WriteResult,
} from './table/repository-types.js'
import type { WarmProgress, WarmUpOptions } from './table/warm-up.js'
import type { CorralTransaction } from './transaction.js'

export interface RepositoryOptions<DB, T extends TableName<DB>, Key, Unique extends readonly unknown[]> {
  /** The primary key, or another unique key that never is null: a column, or a list of columns. */
  readonly key: CheckedKey<DB[T], Key>
  /** Unique columns (or lists of columns) to look rows up by. Default: none. */
  readonly unique?: CheckedLookups<DB[T], Unique>
  /**
   * The row's version stamp: a column that grows with every write of the row. Default `corral_version`, which the migration of
   * `corral/migrations` installs. `false`: the table has none; entries are ordered by transaction snapshots instead.
   */
  readonly version?: VersionColumn<DB[T]> | false
  /** Overrides the instance's `ttl`. `freshMs` may be a function of the row; the instance's stands in where that fails. */
  readonly ttl?: Omit<TtlOptions, 'freshMs'> & { readonly freshMs?: number | ((row: RowOf<DB, T>) => number) }
  /** Overrides the instance's `l1`. `false`: rows of this table are not held in this process' memory. */
  readonly l1?: L1Options | false
  /**
   * Counts the reads of this table's keys for `corral.hotKeys()`, and spreads those of a hot one over `copies` copies. The same in
   * every process that reads or writes the table. Default: not counted.
   */
  readonly hotKeys?: HotKeyChoice
  /** `publish`: a write puts the new row in the place of a cached older one instead of dropping that. Default `drop`. */
  readonly onWrite?: 'drop' | 'publish'
  /**
   * Columns that cached queries hold to a value (`where product_id = $1`): a write then drops only the results for the values of its
   * row. All processes that write the table should declare the same ones; where they do not, results are dropped by table. Default: none.
   */
  readonly queryBy?: readonly LookupColumn<DB[T]>[]
  /**
   * `replica`: what misses is loaded from the standby of option `replica`, if that can be shown to be no older than anybody has been
   * told; otherwise, and for `verified`, `primary`, `refresh` and lookups, from `db`. Default `primary`.
   */
  readonly loadFrom?: 'primary' | 'replica'
  /**
   * `alike`: the table's policies of row-level security show the same rows to all connections of all processes of the namespace. Without that
   * word a table is refused of which policies show the role of `db` only some rows: they would be shown to everybody.
   */
  readonly rowSecurity?: 'alike'
  /** Part of the entries' shape. Change it when the values of a row change though its columns do not, such as other type parsers. Default: empty. */
  readonly schemaVersion?: string
}

/** What a repository wants done about its hot keys. */
export interface HotKeyChoice {
  /** Copies of each hot key, 2 to 64: about as many as the cluster has shards, or a multiple. Default: keys are only counted. */
  readonly copies?: number
  /** Overrides the instance's `hotKeys.copyTtlMs`. */
  readonly copyTtlMs?: number
}

export interface ReadOptions {
  /** Where the read may be answered from. Default `cached`. */
  readonly consistency?: Consistency
  /** Never older than what this session wrote or saw, in whichever process. See `corral.session`. */
  readonly session?: Session
  /** Ends this call's wait with `signal.reason`. The load it may share with others goes on. */
  readonly signal?: AbortSignal
}

export interface WriteOptions {
  /** Learns what was written, so that its later reads include it in every process. */
  readonly session?: Session
}

export interface UpdateOptions extends WriteOptions {
  /** Only write if the row still has this stamp (`WriteResult.version`); otherwise `StaleWriteError`. Given as undefined it is refused. */
  readonly expectVersion?: string
}

/** The columns of `patch` that decide the outcome of `mutate`: undefined means "leave the row as it is". */
export type Decide<DB, T extends TableName<DB>> = (
  row: RowOf<DB, T>,
  tx: CorralTransaction<DB>,
) => RowPatch<DB, T> | undefined | Promise<RowPatch<DB, T> | undefined>

/**
 * Typed reads and writes of one table: reads through the cache, writes through the database.
 *
 * Rows are frozen. `undefined` means that there is no such row. No method rejects because of Redis; each rejects with a ConfigError for options it
 * does not know.
 *
 * A write rejects with the database's own error, untouched, and then the cache was told nothing. Where the connection broke before the
 * server had answered, it may have been made all the same: the cache is told as if it had.
 */
export interface Repository<DB, T extends TableName<DB>, Key, Unique extends readonly unknown[]> {
  /** @throws KeyError if `id` cannot be an id of this table; SourceError, FillTimeoutError, OverloadedError if a needed load fails. */
  find(id: IdOf<DB[T], Key>, options?: ReadOptions): Promise<RowOf<DB, T> | undefined>
  /** One answer for each id, in the order of `ids`; duplicates are fine. One MGET, and one SELECT for what is missing. */
  findMany(ids: readonly IdOf<DB[T], Key>[], options?: ReadOptions): Promise<(RowOf<DB, T> | undefined)[]>
  /** The row this process holds in memory, if it may be trusted now; undefined otherwise. Never waits, never loads. */
  peek(id: IdOf<DB[T], Key>): RowOf<DB, T> | undefined
  /** What every place that may hold a copy of this row holds, and whether it differs from the row. For people, not for programs. */
  explain(id: IdOf<DB[T], Key>): Promise<Explanation>
  /**
   * Fills rows ahead of their readers, at a bounded rate and by the same leases, so that no key is loaded twice: given ids, a query
   * that selects the key, or the rows written last. Resolves when all are dealt with; rows that fail are counted and left behind.
   *
   * @throws ConfigError for bad options, KeyError for an id that is none, SourceError if the keys cannot be listed, `signal.reason`.
   */
  warm(
    source:
      | Iterable<IdOf<DB[T], Key>>
      | AsyncIterable<IdOf<DB[T], Key>>
      | ((db: Kysely<DB>) => AliasableExpression<KeyColumns<DB[T], Key>>)
      | 'recent',
    options?: WarmUpOptions,
  ): Promise<WarmProgress>
  /** By the declared unique columns. @throws as `find`, and KeyError for columns that are not declared. */
  findBy(lookup: LookupOf<DB[T], Unique>, options?: ReadOptions): Promise<RowOf<DB, T> | undefined>
  /** One row. What `values` leaves out or has as undefined, the database fills in. */
  insert(values: NewRow<DB, T>, options?: WriteOptions): Promise<WriteResult<RowOf<DB, T>>>
  /** Undefined when there is no such row. @throws StaleWriteError with `expectVersion`, ConfigError for a patch that sets no column. */
  update(
    id: IdOf<DB[T], Key>,
    patch: RowPatch<DB, T>,
    options?: UpdateOptions,
  ): Promise<WriteResult<RowOf<DB, T>> | undefined>
  /** Inserts, or where the key exists sets the columns that `values` names. */
  upsert(values: NewRow<DB, T>, options?: WriteOptions): Promise<WriteResult<RowOf<DB, T>>>
  /** Undefined when there was no such row; otherwise the row as it was. */
  delete(id: IdOf<DB[T], Key>, options?: UpdateOptions): Promise<WriteResult<RowOf<DB, T>> | undefined>
  /**
   * Reads the row under `FOR UPDATE`, lets `decide` choose the patch, writes it and commits: a decision that no other writer can
   * come between, made on what the database holds. Undefined when there is no such row; `decide` is then not called. What it throws rolls
   * back and goes on to the caller.
   */
  mutate(
    id: IdOf<DB[T], Key>,
    decide: Decide<DB, T>,
    options?: WriteOptions,
  ): Promise<WriteResult<RowOf<DB, T>> | undefined>
  /** The same table inside a transaction of `corral.transaction`: reads go to the database, writes reach the cache at commit. */
  in(tx: CorralTransaction<DB>): TransactionRepository<DB, T, Key, Unique>
}

type AtCommit<DB, T extends TableName<DB>> = WriteResult<RowOf<DB, T>, 'at-commit'>

/** A repository inside one transaction. Reads see the transaction's own writes and never touch the cache. */
export interface TransactionRepository<DB, T extends TableName<DB>, Key, Unique extends readonly unknown[]> {
  find(id: IdOf<DB[T], Key>): Promise<RowOf<DB, T> | undefined>
  findMany(ids: readonly IdOf<DB[T], Key>[]): Promise<(RowOf<DB, T> | undefined)[]>
  findBy(lookup: LookupOf<DB[T], Unique>): Promise<RowOf<DB, T> | undefined>
  /** The row, locked until the transaction ends. */
  lock(id: IdOf<DB[T], Key>): Promise<RowOf<DB, T> | undefined>
  insert(values: NewRow<DB, T>): Promise<AtCommit<DB, T>>
  update(
    id: IdOf<DB[T], Key>,
    patch: RowPatch<DB, T>,
    options?: Pick<UpdateOptions, 'expectVersion'>,
  ): Promise<AtCommit<DB, T> | undefined>
  upsert(values: NewRow<DB, T>): Promise<AtCommit<DB, T>>
  delete(id: IdOf<DB[T], Key>, options?: Pick<UpdateOptions, 'expectVersion'>): Promise<AtCommit<DB, T> | undefined>
}
