import { Buffer } from 'node:buffer'
import { LRUCache } from 'lru-cache'
import type { Chance } from '../core/clock.js'
import type { Entry, NewEntry } from '../core/entry.js'
import { CacheUnavailableError } from '../core/errors.js'
import type { CacheKey } from '../core/key.js'
import type {
  EntryCodec,
  FillOutcome,
  FillRequest,
  LeaseReply,
  LeaseRequest,
  ReleaseRequest,
  SealedEntry,
  StoredBytes,
  Unreadable,
} from '../core/ports.js'
import type { BatchedStore } from './batched-store.js'
import type { EngineParts } from './filler.js'
import { type Marks, readMarks } from './marked-payload.js'
import type { ReplyPlace } from './read-batch.js'

/** What one table contributes to a result: the marks that change when it does. Keys, see `engine/table-marks`. */
export interface TableDependency {
  /** Changed by every write. */
  readonly table: readonly CacheKey[]
  /** Enough instead, where the query is bounded to rows with certain values of a declared column. */
  readonly bounded:
    | { readonly values: readonly CacheKey[]; readonly all: readonly CacheKey[]; readonly declared: string }
    | undefined
}

/** Shape of an entry that was filled under other marks than those of now. No codec's fingerprint looks like it. */
const OUTDATED = 'outdated'
/** Calls whose dependencies are remembered between the read and the refresh that it may lead to. */
const MAX_CALLS = 10_000
/** A mark outlives the entries that carry it, for without it they are misses. */
const KEEP_LONGER_MS = 60_000

/**
 * The store and the codec of entries that depend on marks, for `Reader` and `Filler` to work with as if they were any others:
 *
 * - a look brings the marks along with the entry, in one batch, and an entry that carries others comes out as one of another shape;
 * - a lease brings the marks the fill will carry, read before the load begins: what is committed later changes them;
 * - a fill whose marks have changed in the meantime counts as fenced, so that whoever joined it late reads again.
 */
export class MarkedEntries implements EntryCodec {
  readonly #store: EngineParts['store']
  readonly #batched: Pick<BatchedStore, 'mark'>
  readonly #codec: EntryCodec
  readonly #chance: Chance
  readonly #isPending: (key: CacheKey) => boolean
  readonly #floors: EngineParts['floors']
  readonly #keepMs: number
  /** What calls depend on, by their key, and every mark that may matter to them. */
  readonly #calls = new LRUCache<CacheKey, { dependencies: readonly TableDependency[]; marks: readonly CacheKey[] }>({
    max: MAX_CALLS,
  })
  /** The marks as they were when these bytes were read. */
  readonly #observed = new WeakMap<StoredBytes, Marks>()
  /** Marks for fills under way: one for each lease this process holds. */
  readonly #taken = new Map<CacheKey, { readonly token: string; readonly marks: Marks }>()

  constructor(options: { parts: EngineParts & { readonly store: BatchedStore }; entryMs: number }) {
    const { store, codec, chance, isPending, floors } = options.parts
    this.#store = store
    this.#batched = store
    this.#codec = codec
    this.#chance = chance
    this.#isPending = isPending
    this.#floors = floors
    this.#keepMs = 2 * options.entryMs + KEEP_LONGER_MS
  }

  /** Has to be told before a key is read. A key always has the same dependencies. */
  expect(key: CacheKey, dependencies: readonly TableDependency[]): void {
    if (!this.#calls.has(key)) this.#calls.set(key, { dependencies, marks: keysOf(dependencies) })
  }

  /** While a fence of this process' own has not arrived, the cache shows the mark that the fence is to remove. Bound, to be handed on. */
  readonly isPending = (key: CacheKey): boolean => this.#isPending(key) || this.#pendingMark(key) !== undefined

  /** The marks a load that begins now has to be stored with; undefined when it is not going to be stored. */
  takenFor(key: CacheKey): Marks | undefined {
    return this.#taken.get(key)?.marks
  }

  get departures(): number {
    return this.#store.departures
  }

  ask(key: CacheKey, place: ReplyPlace): void {
    place.replies = this.read(key).then(
      (bytes) => [bytes],
      (error) => [error],
    )
    place.at = 0
  }

  async read(key: CacheKey): Promise<StoredBytes | null> {
    const [marks, bytes] = await Promise.all([this.#look(key), this.#store.read(key)])
    return this.#noted(bytes, marks)
  }

  async lease(request: LeaseRequest): Promise<LeaseReply> {
    const reply = await this.#store.lease(request)
    if (reply.outcome === 'changed') {
      this.#noted(reply.bytes, await this.#look(request.key))
    } else if (reply.outcome === 'leased') {
      const marks = await this.#take(request.key).catch(() => undefined)
      if (marks) this.#taken.set(request.key, { token: request.token, marks })
    }
    return reply
  }

  async fill(request: FillRequest): Promise<FillOutcome> {
    const taken = this.#forget(request)
    const [outcome, now] = await Promise.all([
      this.#store.fill(request),
      this.#look(request.key).catch(() => new Map() as Marks),
    ])
    return outcome === 'filled' && !(taken && areSame(taken, now)) ? 'fenced' : outcome
  }

  async release(request: ReleaseRequest): Promise<void> {
    this.#forget(request)
    await this.#store.release(request)
  }

  nowMs(): number {
    return this.#store.nowMs()
  }

  get maxEntryBytes(): number {
    return this.#codec.maxEntryBytes
  }

  seal(entry: NewEntry, key: CacheKey): SealedEntry {
    return this.#codec.seal(entry, key)
  }

  open(bytes: StoredBytes, key: CacheKey): Entry | Unreadable {
    const entry = this.#codec.open(bytes, key)
    if ('unreadable' in entry) return entry
    const marks = entry.kind === 'query' ? readMarks(entry.payload) : undefined
    const now = this.#observed.get(bytes)
    const isCurrent = marks && now && areSame(marks, now) && !this.#lacksOwnWrite(marks, entry.filledAtMs)
    return isCurrent ? entry : { ...entry, shape: OUTDATED }
  }

  /** A mark that this process has removed and that is back nevertheless: the cache has forgotten its fence. */
  #lacksOwnWrite(marks: Marks, filledAtMs: number): boolean {
    const nowMs = this.nowMs()
    for (const mark of marks.keys()) if (this.#floors.wasFencedSince(mark as CacheKey, filledAtMs, nowMs)) return true
    return false
  }

  #noted(bytes: StoredBytes | null, marks: Marks): StoredBytes | null {
    if (bytes !== null) this.#observed.set(bytes, marks)
    return bytes
  }

  #pendingMark(key: CacheKey): CacheKey | undefined {
    return this.#calls.get(key)?.marks.find((mark) => this.#isPending(mark))
  }

  /** Rejects while one of them is pending. */
  async #look(key: CacheKey): Promise<Marks> {
    const keys = this.#calls.get(key)?.marks ?? []
    const pending = this.#pendingMark(key)
    if (pending !== undefined) throw new CacheUnavailableError('read', `the fence of ${pending} is pending`)
    const found = await Promise.all(keys.map((mark) => this.#store.read(mark)))
    const marks = new Map<string, string>()
    keys.forEach((mark, at) => {
      const bytes = found[at]
      if (bytes) marks.set(mark, Buffer.from(bytes).toString('latin1'))
    })
    return marks
  }

  /** Chooses what the fill will depend on, and makes a mark where there is none. Undefined when the call is not known any more. */
  async #take(key: CacheKey): Promise<Marks | undefined> {
    const dependencies = this.#calls.get(key)?.dependencies
    if (dependencies === undefined) return undefined
    const bounds = dependencies.flatMap(({ bounded }) => bounded ?? [])
    const marks = await this.#mark([
      ...bounds.flatMap(({ values }) => values.map((mark) => ({ mark, prefix: '' }))),
      ...bounds.flatMap(({ all, declared }) => all.map((mark) => ({ mark, prefix: declared }))),
    ])
    // Where another process has declared other columns, writers look after those and not after ours: the table's mark it is.
    const agrees = ({ bounded }: TableDependency) =>
      bounded?.all.every((mark) => marks.get(mark)?.startsWith(bounded.declared)) ?? false
    const others = dependencies.filter((each) => !agrees(each))
    const tables = await this.#mark(others.flatMap(({ table }) => table.map((mark) => ({ mark, prefix: '' }))))
    const needed = dependencies
      .filter(agrees)
      .flatMap(({ bounded }) => [...(bounded?.values ?? []), ...(bounded?.all ?? [])])
    return new Map([...needed.map((mark) => [mark, marks.get(mark) as string] as const), ...tables])
  }

  async #mark(wanted: readonly { readonly mark: CacheKey; readonly prefix: string }[]): Promise<Map<string, string>> {
    const each = [...new Map(wanted.map((one) => [one.mark, one])).values()]
    if (each.length === 0) return new Map()
    const found = await this.#batched.mark(
      each.map(({ mark, prefix }) => ({ key: mark, fresh: prefix + this.#chance.token(), keepMs: this.#keepMs })),
    )
    return new Map(each.map(({ mark }, at) => [mark, found[at] as string]))
  }

  #forget({ key, token }: { readonly key: CacheKey; readonly token: string }): Marks | undefined {
    const taken = this.#taken.get(key)
    if (taken?.token !== token) return undefined
    this.#taken.delete(key)
    return taken.marks
  }
}

/** Whether every mark that was taken is still there. */
function areSame(taken: Marks, now: Marks): boolean {
  for (const [mark, value] of taken) if (now.get(mark) !== value) return false
  return true
}

/** Every mark that may matter, once. */
function keysOf(dependencies: readonly TableDependency[]): CacheKey[] {
  const keys = dependencies.flatMap(({ table, bounded }) => [
    ...table,
    ...(bounded?.values ?? []),
    ...(bounded?.all ?? []),
  ])
  return [...new Set(keys)]
}
