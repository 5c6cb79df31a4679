import { machineMs } from '../../../src/core/clock.js'
import { rowKeyOf } from '../../../src/testing/watched-table.js'
import type { History } from '../../../src/testing.js'
import { zipfIds } from '../../harness/zipf.js'
import { seededChance } from '../../simulator/seeded-chance.js'
import { type NamedRead, type Pace, READ_KINDS, type ReadKind } from './actor-talk.js'
import { type Counts, count, nameOf } from './counts.js'
import type { Observers } from './observers.js'
import { idsOn, NAME, newProduct, ROWS, shelfOf, slugOf } from './shop.js'
import type { ReadChoice, Side } from './side.js'

/** Bounds that reads ask for: some that a cache can keep, and one that it hardly can. */
const BOUNDS_MS = [500, 1_000, 2_000]
/** Operations of one process under way at once; more are left out, as callers who give up would. */
const MOST_UNDER_WAY = 400
const DRAWS = 2 ** 14
const MANY = 5

type Act = () => Promise<unknown>

/** What a process of a fault run does: reads and writes of every kind, of rows by popularity, each of them noted down. */
export class Traffic {
  /** Told of each session that has written: another process is to continue it. */
  onSession: (session: string, token: string, id: number) => void = () => {}
  readonly #name: string
  readonly #side: Side
  readonly #products: Readonly<Record<ReadKind, Side['products']>>
  readonly #rows: History
  readonly #queries: History
  readonly #lookups: History
  readonly #observers: Observers
  readonly #counts: () => Counts
  readonly #random: () => number
  readonly #ids: Uint32Array
  #at = 0
  #pace: Pace = { readsPerSecond: 0, writesPerSecond: 0 }
  #dueReads = 0
  #dueWrites = 0
  #lastMs = machineMs()
  #sessions = 0
  readonly #underWay = new Set<Promise<void>>()
  readonly #timer: NodeJS.Timeout

  constructor(parts: {
    name: string
    side: Side
    /** Where reads and writes of rows are noted, and where answers to queries and lookups are (see `Ledger`). */
    rows: History
    queries: History
    lookups: History
    observers: Observers
    counts: () => Counts
    seed: number
  }) {
    this.#name = parts.name
    this.#side = parts.side
    this.#products = Object.fromEntries(
      READ_KINDS.map((kind) => [kind, parts.observers.of(kind).watch(parts.side.products, NAME)]),
    ) as Record<ReadKind, Side['products']>
    this.#rows = parts.rows
    this.#queries = parts.queries
    this.#lookups = parts.lookups
    this.#observers = parts.observers
    this.#counts = parts.counts
    this.#random = seededChance(parts.seed).number
    // The same rows are popular in every process; each draws in an order of its own.
    this.#ids = zipfIds(ROWS, DRAWS)
    this.#at = Math.floor(this.#random() * DRAWS)
    this.#timer = setInterval(() => this.#beat(), 10)
  }

  pace(pace: Pace): void {
    this.#pace = pace
  }

  async rest(): Promise<void> {
    this.#pace = { readsPerSecond: 0, writesPerSecond: 0 }
    this.#dueReads = this.#dueWrites = 0
    while (this.#underWay.size > 0) await Promise.race([...this.#underWay])
  }

  end(): void {
    clearInterval(this.#timer)
  }

  /** Goes on with a session that has written a row in another process. */
  follow(session: string, token: string, id: number): void {
    const own = this.#observers.of('session').name(this.#side.session(token) as never, session)
    this.#run('read', () => this.#products.session.find(id, { session: own }))
    this.#run('read', () => this.#products.session.findMany([id, this.#id()], { session: own }))
  }

  #beat(): void {
    const nowMs = machineMs()
    // A process that was stopped does not make up for what it has missed.
    const passedMs = Math.min(200, nowMs - this.#lastMs)
    this.#lastMs = nowMs
    this.#dueReads += (this.#pace.readsPerSecond * passedMs) / 1_000
    this.#dueWrites += (this.#pace.writesPerSecond * passedMs) / 1_000
    for (; this.#dueReads >= 1; this.#dueReads--) this.#run('read', this.#drawRead())
    for (; this.#dueWrites >= 1; this.#dueWrites--) this.#run('write', this.#drawWrite())
  }

  #run(what: 'read' | 'write', act: Act): void {
    const counts = this.#counts()
    if (this.#underWay.size >= MOST_UNDER_WAY) return void counts.skipped++
    const startedMs = machineMs()
    const done = act().then(
      () => {
        const seen = this.#counts()
        if (what === 'write') return void seen.writes++
        seen.reads++
        seen.slowestReadMs = Math.max(seen.slowestReadMs, machineMs() - startedMs)
      },
      (error) => count(this.#counts()[what === 'read' ? 'failedReads' : 'failedWrites'], nameOf(error)),
    )
    this.#underWay.add(done)
    void done.then(() => this.#underWay.delete(done))
  }

  #id(): number {
    this.#at = (this.#at + 1) % DRAWS
    return this.#ids[this.#at] as number
  }

  #drawRead(): Act {
    const kind = this.#random()
    const id = this.#id()
    if (kind < 0.42) return () => this.#products.find.find(id)
    if (kind < 0.55) return () => this.#products.findMany.findMany(Array.from({ length: MANY }, () => this.#id()))
    if (kind < 0.67) return () => this.#findBySlug(id)
    if (kind < 0.77) return () => this.#onShelf(shelfOf(id), {})
    const maxStaleMs = BOUNDS_MS[Math.floor(this.#random() * BOUNDS_MS.length)] as number
    if (kind < 0.88) return () => this.#products.bounded.find(id, { consistency: { maxStaleMs } })
    if (kind < 0.91) return () => this.#onShelf(shelfOf(id), { consistency: { maxStaleMs } })
    if (kind < 0.96) return () => this.#products.verified.find(id, { consistency: 'verified' })
    return () => this.#products.primary.find(id, { consistency: 'primary' })
  }

  #drawWrite(): Act {
    const kind = this.#random()
    const id = this.#id()
    const stock = Math.floor(this.#random() * 1_000)
    if (kind < 0.45) return () => this.#products.find.update(id, { stock })
    if (kind < 0.55) return () => this.#products.find.mutate(id, (row) => ({ stock: row.stock + 1 }))
    if (kind < 0.65) return () => this.#inSession(id, stock)
    const ids = [...new Set([id, this.#id(), this.#id()])]
    if (kind < 0.8) return () => this.#together(ids, stock, false)
    if (kind < 0.85) return () => this.#together(ids, stock, true)
    if (kind < 0.92) return () => this.#products.find.upsert({ ...newProduct(id), stock })
    // What is deleted comes back, if nobody else is quicker.
    return () => this.#products.find.delete(id).then(() => this.#products.find.upsert(newProduct(id)))
  }

  async #findBySlug(id: number): Promise<void> {
    const startedMs = machineMs()
    const { row, fromMemory } = await this.#side.findBySlug(slugOf(id))
    const from = fromMemory ? 'memory' : undefined
    const read: NamedRead = {
      ...{ process: this.#name, key: rowKeyOf(NAME, id), startedMs, endedMs: machineMs(), from, kind: 'findBy' },
      version: row?.corral_version ?? null,
      says: row && NAME.says(row),
    }
    this.#lookups.read(read)
    // That no row has the value says nothing of one that the process has seen by its key.
    if (row !== undefined) this.#rows.read(read)
  }

  async #onShelf(shelf: number, choice: ReadChoice): Promise<void> {
    const startedMs = machineMs()
    const rows = new Map((await this.#side.onShelf(shelf, choice)).map((row) => [row.id, row]))
    const note = { process: this.#name, startedMs, endedMs: machineMs(), kind: 'query' }
    const bound = typeof choice.consistency === 'object' ? choice.consistency : {}
    for (const id of idsOn(shelf)) {
      const row = rows.get(id)
      const version = row?.corral_version ?? null
      this.#queries.read({ ...note, ...bound, key: rowKeyOf(NAME, id), version, says: row && NAME.says(row) })
    }
  }

  async #inSession(id: number, stock: number): Promise<void> {
    const name = `${this.#name}/${++this.#sessions}`
    const session = this.#observers.of('session').name(this.#side.session() as never, name)
    await this.#products.session.find(this.#id(), { session })
    await this.#products.session.update(id, { stock }, { session })
    this.onSession(name, session.token, id)
  }

  async #together(ids: readonly number[], stock: number, undo: boolean): Promise<void> {
    const startedMs = machineMs()
    const { versions, fence } = await this.#side.together(ids, stock, undo)
    const note = { process: this.#name, startedMs, endedMs: machineMs(), outcome: fence }
    const inOrder = [...ids].sort((a, b) => a - b)
    for (const [at, version] of versions.entries()) {
      if (version !== null) this.#rows.write({ ...note, key: rowKeyOf(NAME, inOrder[at]), version })
    }
  }
}
