import { Locks } from './locks.js'
import { PgError } from './pg-error.js'
import { isVisible, type Snapshot } from './snapshot.js'
import { type OutboxRow, type Row, rowOf, type Version } from './table.js'
import { Transaction } from './transaction.js'

/** One change that has been committed, for whoever keeps the history. */
export interface Committed {
  readonly id: number
  /** The row's stamp; of one that is gone, the least that comes back may have. */
  readonly version: string
  readonly absent: boolean
}

type Outcome = 'committed' | 'aborted' | 'in progress'

/**
 * One table of Postgres in memory: rows in versions, transactions that see what was committed when their statement began, row locks,
 * the stamp with its tombstones, the outbox. A commit is one step.
 */
export class Database {
  readonly #nowMs: () => number
  readonly #onCommit: (changes: readonly Committed[], by: Transaction) => void
  readonly #locks = new Locks()
  readonly #versions = new Map<number, Version[]>()
  readonly #tombs = new Map<number, bigint>()
  readonly #outcomes = new Map<number, Outcome>()
  readonly #open = new Set<number>()
  /** How transactions stood after each commit: what a standby that has come so far knows of them. */
  readonly #sights: Snapshot[] = [{ xmin: 700, xmax: 700, open: [] }]
  /** What is committed of it, by transaction and number. */
  readonly outbox: OutboxRow[] = []
  readonly positions: { namespace: string; beganMs: number; atMs: number; position: string }[] = []
  readonly epochs = new Map<string, { number: number; history: string | null }>()
  /** By name of the lock, the session that holds it. */
  readonly advisory = new Map<string, object>()
  #nextXid = 700
  #completed = 699
  #commits = 0
  #outboxIds = 0

  constructor(options: {
    nowMs: () => number
    onCommit?: (changes: readonly Committed[], by: Transaction) => void
  }) {
    this.#nowMs = options.nowMs
    this.#onCommit = options.onCommit ?? (() => {})
  }

  get commits(): number {
    return this.#commits
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
    const xmax = this.#completed + 1
    const open = [...this.#open].filter((xid) => xid < xmax).sort((a, b) => a - b)
    return { xmin: Math.min(xmax, ...this.#open), xmax, open }
  }

  /** The same within a transaction, which may go on seeing what it saw first. */
  sightOf(tx: Transaction | undefined): Snapshot {
    if (!tx?.isRepeatable) return this.snapshot
    this.seenBy(tx)
    return tx.sight as Snapshot
  }

  /** The same on a standby that has replayed so many commits: it knows which are open, and does not say so. */
  standbySnapshot(commit: number): Snapshot {
    const { xmin, xmax } = this.#sights[commit] as Snapshot
    return { xmin, xmax, open: [] }
  }

  outcomeOf(xid: number): Outcome | null {
    return this.#outcomes.get(xid) ?? null
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

  findBySku(sku: string, upto: number, tx?: Transaction): Row | undefined {
    for (const id of new Set([...this.#versions.keys(), ...(tx?.rows.map((write) => write.id) ?? [])])) {
      const row = this.find(id, upto, tx)
      if (row?.sku === sku) return row
    }
    return undefined
  }

  /** All ids that were ever written. */
  get ids(): readonly number[] {
    return [...this.#versions.keys()]
  }

  async insert(tx: Transaction, id: number, sku: string, price: number): Promise<Row> {
    // Drawn before the unique check, which waits for whoever is at this key (A19).
    const stamp = this.#micros
    await this.#lock(tx, id, sku)
    if (this.find(id, this.#commits, tx) !== undefined) throw new PgError('23505', 'duplicate key products_pkey')
    this.#refuseTakenSku(tx, id, sku)
    const buried = this.#buried(tx, id)
    const version = buried !== undefined && buried >= stamp ? max(stamp + 1n, this.#micros, buried + 1n) : stamp
    const row = rowOf(id, sku, price, version)
    this.#write(tx, id, row, 'i', [['sku', sku]], row.corral_version)
    return row
  }

  async upsert(tx: Transaction, id: number, sku: string, price: number): Promise<Row> {
    await this.#lock(tx, id, sku)
    if (this.find(id, this.#commits, tx) === undefined) return this.insert(tx, id, sku, price)
    return (await this.update(tx, id, { sku, price })) as Row
  }

  /** Undefined: there is no such row, or none with that stamp. */
  async update(
    tx: Transaction,
    id: number,
    patch: { readonly sku?: string; readonly price?: number },
    expected?: string,
  ): Promise<Row | undefined> {
    const before = await this.lockRow(tx, id, patch.sku)
    if (before === undefined || (expected !== undefined && before.corral_version !== expected)) return undefined
    const sku = patch.sku ?? before.sku
    this.#refuseTakenSku(tx, id, sku)
    const version = max(BigInt(before.corral_version) + 1n, this.#micros)
    const row = rowOf(id, sku, patch.price ?? before.price, version)
    const lookups: OutboxRow['lookups'] = [
      ['sku', before.sku],
      ['sku', sku],
    ]
    this.#write(tx, id, row, 'u', sku === before.sku ? null : lookups, row.corral_version)
    return row
  }

  async delete(tx: Transaction, id: number, expected?: string): Promise<Row | undefined> {
    const before = await this.lockRow(tx, id)
    if (before === undefined || (expected !== undefined && before.corral_version !== expected)) return undefined
    tx.tombs.push({ id, version: max(BigInt(before.corral_version) + 1n, this.#micros) })
    this.#write(tx, id, undefined, 'd', [['sku', before.sku]], String(BigInt(before.corral_version) + 1n))
    return before
  }

  /** The newest committed row, or the transaction's own, locked for it. */
  async lockRow(tx: Transaction, id: number, sku?: string): Promise<Row | undefined> {
    const seen = this.seenBy(tx)
    await this.#lock(tx, id, sku)
    if (tx.isRepeatable && (this.#versions.get(id)?.at(-1)?.commit ?? 0) > seen) {
      throw new PgError('40001', 'could not serialize access due to concurrent update')
    }
    return this.find(id, this.#commits, tx)
  }

  /** A row of the outbox that says that more has changed than is told one by one. */
  tellBulk(tx: Transaction, op: 't' | 'b'): void {
    this.#assignXid(tx)
    tx.outbox.push({ id: ++this.#outboxIds, op, key: null, version: null, lookups: null, atMs: this.#nowMs() })
  }

  /** What the outbox is not told row by row: takes those rows out again. */
  untell(tx: Transaction): void {
    tx.outbox.length = 0
  }

  xidOf(tx: Transaction): number {
    return this.#assignXid(tx)
  }

  commit(tx: Transaction): void {
    tx.hasEnded = true
    const { xid } = tx
    if (xid !== undefined) {
      this.#commits++
      for (const { id, row } of tx.rows) {
        const versions = this.#versions.get(id)
        if (versions) versions.push({ commit: this.#commits, row })
        else this.#versions.set(id, [{ commit: this.#commits, row }])
      }
      for (const { id, version } of tx.tombs) this.#tombs.set(id, max(version, this.#tombs.get(id) ?? 0n))
      for (const row of tx.outbox) this.outbox.push({ ...row, xid })
      this.outbox.sort((a, b) => a.xid - b.xid || a.id - b.id)
      this.#end(xid, 'committed')
      this.#sights.push(this.snapshot)
      this.#onCommit(changesOf(tx), tx)
    }
    this.#locks.release(tx)
  }

  rollback(tx: Transaction): void {
    if (tx.hasEnded) return
    tx.hasEnded = true
    if (tx.xid !== undefined) this.#end(tx.xid, 'aborted')
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

  #assignXid(tx: Transaction): number {
    if (tx.xid === undefined) {
      tx.xid = this.#nextXid++
      this.#open.add(tx.xid)
      this.#outcomes.set(tx.xid, 'in progress')
    }
    return tx.xid
  }

  #end(xid: number, outcome: Outcome): void {
    this.#open.delete(xid)
    this.#outcomes.set(xid, outcome)
    this.#completed = Math.max(this.#completed, xid)
  }

  async #lock(tx: Transaction, id: number, sku?: string): Promise<void> {
    this.#assignXid(tx)
    await this.#locks.take(`id ${id}`, tx)
    if (sku !== undefined) await this.#locks.take(`sku ${sku}`, tx)
  }

  #refuseTakenSku(tx: Transaction, id: number, sku: string): void {
    const found = this.findBySku(sku, this.#commits, tx)
    if (found !== undefined && found.id !== id) throw new PgError('23505', 'duplicate key products_sku_key')
  }

  #buried(tx: Transaction, id: number): bigint | undefined {
    return tx.tombs.findLast((tomb) => tomb.id === id)?.version ?? this.#tombs.get(id)
  }

  #write(
    tx: Transaction,
    id: number,
    row: Row | undefined,
    op: 'i' | 'u' | 'd',
    lookups: OutboxRow['lookups'],
    version: string,
  ): void {
    this.#assignXid(tx)
    tx.rows.push({ id, row, version })
    const told = { op, key: [String(id)], version, lookups, atMs: this.#nowMs() }
    tx.outbox.push({ id: ++this.#outboxIds, ...told })
  }
}

/** What a transaction has left of each row it wrote: nobody ever sees what came in between. */
function changesOf(tx: Transaction): Committed[] {
  const last = new Map(tx.rows.map((write) => [write.id, write]))
  return [...last.values()].map(({ id, row, version }) => ({ id, version, absent: row === undefined }))
}

function max(...numbers: bigint[]): bigint {
  return numbers.reduce((most, each) => (each > most ? each : most))
}
