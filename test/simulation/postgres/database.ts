import { Locks } from './locks.js'
import { PgError } from './pg-error.js'
import { isVisible, type Snapshot } from './snapshot.js'
import { type OutboxRow, type Row, rowOf, type Version } from './table.js'
import { Transaction } from './transaction.js'
import { TransactionIds } from './transaction-ids.js'

/** One change that has been committed, for whoever keeps the history. */
export interface Committed {
  readonly id: number
  /** The row's stamp; of one that is gone, the least that comes back may have. */
  readonly version: string
  readonly absent: boolean
}

/**
 * One table of Postgres in memory: rows in versions, transactions that see what was committed when their statement began, locks,
 * the stamp with its tombstones, the outbox. A commit is one step.
 *
 * Two kinds of locks: whoever writes a row or reads it for update has `row`; whoever writes it has the keys under which the unique indexes have
 * it and had it, and others who want to put a row there wait for the outcome. A row that is only locked makes nobody wait who inserts.
 */
export class Database {
  readonly #nowMs: () => number
  readonly #onCommit: (changes: readonly Committed[], by: Transaction) => void
  readonly #isTouched: () => boolean
  readonly #locks = new Locks()
  readonly #xids = new TransactionIds()
  readonly #versions = new Map<number, Version[]>()
  readonly #tombs = new Map<number, { readonly version: bigint; readonly commit: number }>()
  /** What is committed of it, by transaction and number. */
  readonly outbox: OutboxRow[] = []
  readonly positions: { namespace: string; beganMs: number; atMs: number; position: string }[] = []
  readonly epochs = new Map<string, { number: number; history: string | null }>()
  /** By name of the lock, the session that holds it, and how often it has taken it. */
  readonly advisory = new Map<string, { readonly holder: object; readonly times: number }>()
  #commits = 0
  #outboxIds = 0

  constructor(options: {
    nowMs: () => number
    onCommit?: (changes: readonly Committed[], by: Transaction) => void
    /** Asked of each row that is about to be committed: whether a trigger changes it once more. */
    isTouched?: () => boolean
  }) {
    this.#nowMs = options.nowMs
    this.#onCommit = options.onCommit ?? (() => {})
    this.#isTouched = options.isTouched ?? (() => false)
  }

  get commits(): number {
    return this.#commits
  }

  get waits(): Locks['waits'] {
    return this.#locks.waits
  }

  get nowMs(): number {
    return this.#nowMs()
  }

  /** The stamp's clock. Real stamps have 16 digits. */
  get #micros(): bigint {
    return 1_795_207_238_000_000n + BigInt(Math.floor(this.#nowMs() * 1_000))
  }

  /** `pg_current_snapshot()` of the primary. */
  get snapshot(): Snapshot {
    return this.#xids.snapshot
  }

  /** The same within a transaction, which may go on seeing what it saw first. */
  sightOf(tx: Transaction | undefined): Snapshot {
    if (!tx?.isRepeatable) return this.snapshot
    this.seenBy(tx)
    return tx.sight as Snapshot
  }

  /** The same on a standby that has replayed so many commits. */
  standbySnapshot(commit: number): Snapshot {
    return this.#xids.standbySnapshot(commit)
  }

  outcomeOf(xid: number): ReturnType<TransactionIds['outcomeOf']> {
    return this.#xids.outcomeOf(xid)
  }

  begin(by = 'SQL', isRepeatable = false): Transaction {
    return new Transaction(isRepeatable, by)
  }

  /** Up to which commit a statement of this transaction sees. */
  seenBy(tx: Transaction | undefined): number {
    if (!tx?.isRepeatable) return this.#commits
    tx.sight ??= this.snapshot
    tx.sees ??= this.#commits
    return tx.sees
  }

  /** @param tx its own writes are seen too. */
  find(id: number, upto: number, tx?: Transaction): Row | undefined {
    const own = tx?.rows.findLast((write) => write.id === id)
    return own ? own.row : this.#versions.get(id)?.findLast(({ commit }) => commit <= upto)?.row
  }

  /** Who wrote what `find` gives. */
  writerOf(id: number, upto: number, tx?: Transaction): number | undefined {
    if (tx?.rows.some((write) => write.id === id)) return tx.xid
    return this.#versions.get(id)?.findLast(({ commit }) => commit <= upto)?.xid
  }

  /** Microseconds since a row had its stamp. */
  sinceStamp(row: Row): bigint {
    return this.#micros - BigInt(row.corral_version)
  }

  /** Unique among what is newest: a transaction that sees an older row may have put another in its place. */
  rowsBySku(sku: string, upto: number, tx?: Transaction): readonly Row[] {
    const ids = new Set([...this.#versions.keys(), ...(tx?.rows.map((write) => write.id) ?? [])])
    return [...ids].flatMap((id) => {
      const row = this.find(id, upto, tx)
      return row?.sku === sku ? [row] : []
    })
  }

  /** All ids that were ever written. */
  get ids(): readonly number[] {
    return [...this.#versions.keys()]
  }

  /** The row as it is when its insertion is told: one that needs a later stamp than a row that was deleted gets it afterwards. */
  insert(tx: Transaction, id: number, sku: string, price: number): Promise<Row> {
    // Drawn before the unique check, which waits for whoever is at this key (A19).
    return this.#insert(tx, rowOf(id, sku, price, this.#micros))
  }

  async upsert(tx: Transaction, id: number, sku: string, price: number): Promise<Row> {
    const stamp = this.#micros
    for (;;) {
      const isNew = await this.#locks.take(`id ${id}`, tx)
      if (this.find(id, this.#commits, tx) === undefined) return this.#insert(tx, rowOf(id, sku, price, stamp))
      if (isNew) this.#locks.release(tx, tx.locks.length - 1)
      const before = await this.#lockNewest(tx, id, this.seenBy(tx), true)
      if (before !== undefined) return this.#update(tx, before, { sku, price })
    }
  }

  /** Undefined: there is no such row, or none with that stamp. */
  async update(
    tx: Transaction,
    id: number,
    patch: { readonly sku?: string; readonly price?: number },
    expected?: string,
  ): Promise<Row | undefined> {
    const before = await this.lockRow(tx, id, expected)
    return before && this.#update(tx, before, patch)
  }

  async delete(tx: Transaction, id: number, expected?: string): Promise<Row | undefined> {
    const before = await this.lockRow(tx, id, expected, true)
    if (before === undefined) return undefined
    await this.#holdKeys(tx, before)
    tx.tombs.push({ id, version: max(BigInt(before.corral_version) + 1n, this.#micros) })
    this.#write(tx, id, undefined, 'd', [['sku', before.sku]], String(BigInt(before.corral_version) + 1n))
    return before
  }

  /**
   * The newest committed row, or the transaction's own, locked for it. Undefined: when the statement began there was none, or none with that
   * stamp, or it has gone since.
   *
   * @param deletes a DELETE has its transaction's id before it waits.
   */
  async lockRow(tx: Transaction, id: number, expected?: string, deletes = false): Promise<Row | undefined> {
    const upto = this.seenBy(tx)
    const isMeant = (row: Row | undefined) =>
      row !== undefined && (expected === undefined || row.corral_version === expected)
    if (!isMeant(this.find(id, upto, tx))) return undefined
    if (deletes) this.#xids.of(tx)
    // What has been changed since is refused at once, whoever is changing it now.
    this.#refuseChanged(tx, id, upto)
    const row = await this.#lockNewest(tx, id, upto)
    return isMeant(row) ? row : undefined
  }

  /** A row of the outbox that says that more has changed than is told one by one. */
  tellBulk(tx: Transaction, op: 't' | 'b'): void {
    this.#xids.of(tx)
    tx.outbox.push({ id: ++this.#outboxIds, op, key: null, version: null, lookups: null, atMs: this.#nowMs() })
  }

  /** What the outbox is not told row by row: takes those rows out again. */
  untell(tx: Transaction): void {
    tx.outbox.length = 0
  }

  xidOf(tx: Transaction): number {
    return this.#xids.of(tx)
  }

  rollbackTo(tx: Transaction, savepoint: string): void {
    const locks = tx.undo(savepoint)
    if (locks === undefined) throw new PgError('3B001', `savepoint "${savepoint}" does not exist`)
    this.#locks.release(tx, locks)
    tx.hasFailed = false
  }

  /** A statement has failed: what was done since the last savepoint is undone at once, or all. */
  fail(tx: Transaction): void {
    tx.hasFailed = true
    const locks = tx.undo(undefined)
    if (locks === undefined) this.rollback(tx)
    else this.#locks.release(tx, locks)
  }

  commit(tx: Transaction): void {
    tx.hasEnded = true
    const { xid } = tx
    if (xid !== undefined) {
      this.#touch(tx)
      this.#commits++
      for (const { id, row } of tx.rows) {
        const versions = this.#versions.get(id)
        if (versions) versions.push({ commit: this.#commits, xid, row })
        else this.#versions.set(id, [{ commit: this.#commits, xid, row }])
      }
      for (const { id, version } of tx.tombs) {
        this.#tombs.set(id, { version: max(version, this.#tombs.get(id)?.version ?? 0n), commit: this.#commits })
      }
      for (const row of tx.outbox) this.outbox.push({ ...row, xid })
      this.outbox.sort((a, b) => a.xid - b.xid || a.id - b.id)
      this.#xids.end(xid, 'committed')
      const changes = tx.left.map(({ id, row, version }) => ({ id, version, absent: row === undefined }))
      this.#onCommit(changes, tx)
    }
    this.#locks.release(tx)
  }

  rollback(tx: Transaction): void {
    if (tx.hasEnded) return
    tx.hasEnded = true
    if (tx.xid !== undefined) this.#xids.end(tx.xid, 'aborted')
    this.#locks.release(tx)
  }

  /** One page of what lies between two snapshots, as the outbox' statement gives it. */
  page(since: Snapshot, upto: Snapshot, after: { xid: number; id: number }, limit: number): readonly OutboxRow[] {
    const page: OutboxRow[] = []
    for (const row of this.outbox) {
      if (isVisible(row.xid, since) || !isVisible(row.xid, upto)) continue
      if (row.xid < after.xid || (row.xid === after.xid && row.id <= after.id)) continue
      page.push(row)
      if (page.length === limit) break
    }
    return page
  }

  /** A deferred trigger: nobody's statement has returned what it leaves. */
  #touch(tx: Transaction): void {
    for (const { id, row } of tx.left) {
      if (row === undefined || !this.#isTouched()) continue
      const touched = rowOf(id, row.sku, row.price + 1, max(BigInt(row.corral_version) + 1n, this.#micros))
      this.#write(tx, id, touched, 'u', null, touched.corral_version)
    }
  }

  async #insert(tx: Transaction, row: Row): Promise<Row> {
    const { id, sku, price } = row
    this.#xids.of(tx)
    await this.#locks.take(`id ${id}`, tx)
    if (this.find(id, this.#commits, tx) !== undefined) throw new PgError('23505', 'duplicate key products_pkey')
    await this.#locks.take(`sku ${sku}`, tx)
    this.#refuseTakenSku(tx, id, sku)
    this.#write(tx, id, row, 'i', [['sku', sku]], row.corral_version)
    const buried = this.#buried(tx, id)
    const stamp = BigInt(row.corral_version)
    if (buried !== undefined && buried >= stamp) {
      const later = rowOf(id, sku, price, max(stamp + 1n, this.#micros, buried + 1n))
      this.#write(tx, id, later, 'u', null, later.corral_version)
    }
    return row
  }

  async #update(tx: Transaction, before: Row, patch: { readonly sku?: string; readonly price?: number }): Promise<Row> {
    const { id } = before
    const version = max(BigInt(before.corral_version) + 1n, this.#micros)
    const row = rowOf(id, patch.sku ?? before.sku, patch.price ?? before.price, version)
    await this.#holdKeys(tx, before)
    await this.#locks.take(`sku ${row.sku}`, tx)
    this.#refuseTakenSku(tx, id, row.sku)
    const lookups: OutboxRow['lookups'] = [
      ['sku', before.sku],
      ['sku', row.sku],
    ]
    this.#write(tx, id, row, 'u', row.sku === before.sku ? null : lookups, row.corral_version)
    return row
  }

  /** Undefined: it has gone since the statement began, whatever has come under its key. */
  async #lockNewest(tx: Transaction, id: number, upto: number, upserts = false): Promise<Row | undefined> {
    const isNew = await this.#locks.take(`row ${id}`, tx)
    // An upsert has the row before it looks whether it may see it.
    if (upserts && tx.isRepeatable) this.#xids.of(tx)
    this.#refuseChanged(tx, id, upto)
    const hasGone = this.#versions.get(id)?.some(({ commit, row }) => commit > upto && row === undefined) ?? false
    if (hasGone) {
      if (isNew) this.#locks.release(tx, tx.locks.length - 1)
      return undefined
    }
    this.#xids.of(tx)
    return this.find(id, this.#commits, tx)
  }

  /** A repeatable transaction changes only what it sees. */
  #refuseChanged(tx: Transaction, id: number, upto: number): void {
    if (!tx.isRepeatable || (this.#versions.get(id)?.at(-1)?.commit ?? 0) <= upto) return
    throw new PgError('40001', 'could not serialize access due to concurrent update')
  }

  /** Of a row that it has locked: nobody else has them. */
  async #holdKeys(tx: Transaction, { id, sku }: Row): Promise<void> {
    await this.#locks.take(`id ${id}`, tx)
    await this.#locks.take(`sku ${sku}`, tx)
  }

  #refuseTakenSku(tx: Transaction, id: number, sku: string): void {
    const isTaken = this.rowsBySku(sku, this.#commits, tx).some((row) => row.id !== id)
    if (isTaken) throw new PgError('23505', 'duplicate key products_sku_key')
  }

  /** The stamp under which the key's last row was buried. */
  #buried(tx: Transaction, id: number): bigint | undefined {
    const own = tx.tombs.findLast((tomb) => tomb.id === id)
    if (own) return own.version
    const tomb = this.#tombs.get(id)
    // The trigger meets it in the index, where it is, and not in what the transaction sees.
    if (tx.isRepeatable && tomb && tomb.commit > this.seenBy(tx)) {
      throw new PgError('40001', 'could not serialize access due to concurrent update')
    }
    return tomb?.version
  }

  #write(
    tx: Transaction,
    id: number,
    row: Row | undefined,
    op: 'i' | 'u' | 'd',
    lookups: OutboxRow['lookups'],
    version: string,
  ): void {
    this.#xids.of(tx)
    tx.rows.push({ id, row, version })
    const told = { op, key: [String(id)], version, lookups, atMs: this.#nowMs() }
    tx.outbox.push({ id: ++this.#outboxIds, ...told })
  }
}

function max(...numbers: bigint[]): bigint {
  return numbers.reduce((most, each) => (each > most ? each : most))
}
