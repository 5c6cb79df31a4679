import type { Entry } from '../core/entry.js'
import type { CorralEvent } from '../core/events.js'
import type { CacheKey } from '../core/key.js'
import type { StoredBytes } from '../core/ports.js'
import { ANSWERED, type ReadSpan, UNTOLD } from '../core/telemetry.js'
import type { Version } from '../core/version.js'
import type { Demands } from '../policy/verdict.js'
import { withinHardTimeout } from './deadline.js'
import type { EngineParts, Filler, Judge, NearTier, ReadSource, Seen } from './filler.js'
import { admitted, type Held, Inspection, type InspectionSettings } from './inspection.js'
import { type Look, Looks, type Readers } from './looks.js'
import type { Reply } from './read-batch.js'
import type { FlightProgress, Singleflight } from './singleflight.js'

export interface ReadSettings extends InspectionSettings {
  /** With a stale entry in hand: how long a reader waits for the fill before it takes the stale one. */
  readonly softTimeoutMs: number
  /** Without one: how long a reader waits before it gives up, also if it has to read again. The load goes on. */
  readonly hardTimeoutMs: number
}

/** The fill this reader joined may have missed a write that came before the reader: it has to read again. */
const MISSED_A_WRITE = Symbol('missed a write')
type Answer<Value> = Value | undefined | typeof MISSED_A_WRITE
/** Two estimates of one entry's remaining life differ by less than this; more means that it was filled anew. */
const YOUNGER_BY_MS = 50
/** Each reread means that a write was fenced meanwhile. Past this many, the reader asks the database for itself. */
const MAX_REREADS = 16

/**
 * The cache-aside read of one source, top to bottom:
 *
 * 1. look for the entry;
 * 2. judge it: shape, epoch, this process' floor, age;
 * 3. serve it if it is fresh;
 * 4. serve it and refresh it behind the reader if it will soon expire and this reader drew the lot;
 * 5. if it has expired but may still help out, fill, and serve it only if the fill fails or takes too long;
 * 6. otherwise fill: once per process, once per fleet.
 *
 * A cache that does not answer is a miss that cannot be filled. Nothing it does or holds makes a read fail.
 */
export class Reader<Id, Value> {
  readonly #parts: EngineParts
  readonly #source: ReadSource<Id, Value>
  readonly #filler: Filler<Id, Value>
  readonly #flights: Singleflight<Value | undefined>
  readonly #looks: Looks<Id, Answer<Value>>
  readonly #settings: ReadSettings
  readonly #tier: NearTier<Id, Value> | undefined
  readonly #inspection: Inspection<Id, Value>
  /** Keys whose refresh was drawn from a copy in this process and is under way. */
  readonly #refreshing = new Set<CacheKey>()

  constructor(options: {
    parts: EngineParts
    source: ReadSource<Id, Value>
    filler: Filler<Id, Value>
    /** Shared by all readers: keys of different sources differ, so one map of flights serves all of them. */
    flights: Singleflight<unknown>
    settings: ReadSettings
    tier?: NearTier<Id, Value> | undefined
    /** How much may be kept to recognize entries by (`KnownEntries`). Default: nothing. */
    knownBytes?: number
  }) {
    this.#parts = options.parts
    this.#source = options.source
    this.#filler = options.filler
    this.#flights = options.flights as Singleflight<Value | undefined>
    this.#looks = new Looks({
      parts: options.parts,
      now: () => this.#flights.now(),
      generation: (id) => this.#tier?.generation(id),
      answer: (look, reply) => this.#answer(look, reply),
    })
    this.#settings = options.settings
    this.#tier = options.tier
    this.#inspection = new Inspection({ ...options, knownBytes: options.knownBytes ?? 0 })
  }

  /** @param span is told how the key was answered. */
  read(key: CacheKey, id: Id, span: ReadSpan = UNTOLD): Promise<Value | undefined> {
    const look = this.#looks.join(key, id)
    return look.count === 1
      ? look.replies.then((replies) => this.#show(look, replies, span))
      : this.#looks.shared(look).then((value) => this.#handOut(look, value, span))
  }

  /** One answer for all readers of a look, of whom nobody wants to know one by one. */
  readShared(key: CacheKey, id: Id) {
    const look = this.#looks.join(key, id)
    return { look, answer: look.replies.then((replies) => this.#show(look, replies, UNTOLD)) }
  }

  /** One more reader has the answer of `readShared`. False: its look has left, and must not be joined. */
  join({ look }: { readonly look: Look<Id, Answer<Value>> }): boolean {
    return this.#looks.rejoin(look)
  }

  /** The same for many keys at once, in order: a list of hits waits for one promise, and not for one a key. */
  readMany(keys: readonly CacheKey[], ids: readonly Id[], span: ReadSpan = UNTOLD): Promise<(Value | undefined)[]> {
    const batches: { readonly replies: Promise<readonly Reply[]>; readonly looks: Look<Id, Answer<Value>>[] }[] = []
    for (let i = 0; i < keys.length; i++) {
      const look = this.#looks.join(keys[i] as CacheKey, ids[i] as Id)
      const last = batches.at(-1)
      if (last?.replies === look.replies) last.looks.push(look)
      else batches.push({ replies: look.replies, looks: [look] })
    }
    const answers = batches.map(({ replies, looks }) => replies.then((found) => this.#showAll(looks, found, span)))
    return answers.length === 1
      ? (answers[0] as Promise<(Value | undefined)[]>)
      : Promise.all(answers).then((all) => all.flat(1) as (Value | undefined)[])
  }

  /** Reads the database and brings the cache up to it, whatever it holds. */
  async reload(key: CacheKey, id: Id): Promise<Value | undefined> {
    const bytes = await this.#parts.store.read(key).catch(() => null)
    this.#flights.forget(key)
    // The first entry that lands meanwhile may come from a load that began before this call; any after it cannot, unless
    // it comes from a replica.
    let landed = 0
    const mayLag = this.#source.loadFromReplica !== undefined
    const judge: Judge<Value> = (found) =>
      found !== null && (mayLag || ++landed === 1) ? { bytes: found, useless: true } : this.#admit(key, found)
    const readers: Readers = { startedAt: this.#flights.now(), count: 1 }
    const fill = this.#fill(key, id, { bytes, useless: true, fromPrimary: true }, readers, judge)
    const answer = await this.#withinHardTimeout(fill, readers)
    return answer === MISSED_A_WRITE ? this.loadOnly(key, id, readers) : answer
  }

  /** Reads the database and leaves the cache alone. @throws SourceError when who answers is in recovery. */
  async loadOnly(key: CacheKey, id: Id, waiting: Pick<Readers, 'waitsSinceMs'> = {}): Promise<Value | undefined> {
    return this.share(await this.#withinHardTimeout(this.#filler.loadOnly(key, id, undefined, true), waiting))
  }

  async #readAgain({ key, id, startedAt, waitsSinceMs }: Look<Id, Answer<Value>>): Promise<Value | undefined> {
    for (let attempt = 1; attempt < MAX_REREADS; attempt++) {
      const answer = await this.#pass(key, id, startedAt, waitsSinceMs)
      if (answer !== MISSED_A_WRITE) return answer
    }
    return this.loadOnly(key, id, { waitsSinceMs })
  }

  #showAll(looks: readonly Look<Id, Answer<Value>>[], replies: readonly Reply[], span: ReadSpan) {
    const values: (Value | undefined | Promise<Value | undefined>)[] = new Array(looks.length)
    let areHere = true
    for (let i = 0; i < looks.length; i++) {
      const value = this.#show(looks[i] as Look<Id, Answer<Value>>, replies, span)
      if (value instanceof Promise) areHere = false
      values[i] = value
    }
    return areHere ? (values as (Value | undefined)[]) : Promise.all(values)
  }

  /** What one reader of a look gets, when the replies are there. */
  #show(
    look: Look<Id, Answer<Value>>,
    replies: readonly Reply[],
    span: ReadSpan,
  ): Value | undefined | Promise<Value | undefined> {
    const answer = this.#looks.answer(look, replies)
    return answer instanceof Promise
      ? answer.then((value) => this.#handOut(look, value, span))
      : this.#handOut(look, answer, span)
  }

  #handOut(look: Look<Id, Answer<Value>>, value: Answer<Value>, span: ReadSpan) {
    span.answered(look.answered ?? ANSWERED.missed, look.fill)
    if (value === MISSED_A_WRITE) return this.#readAgain(look)
    return look.count > 1 ? this.share(value) : value
  }

  /** Once more through the steps. */
  async #pass(key: CacheKey, id: Id, startedAt: number, waitsSinceMs: number | undefined): Promise<Answer<Value>> {
    const look = this.#looks.alone(key, id, startedAt)
    look.waitsSinceMs = waitsSinceMs
    return this.#looks.answer(look, await look.replies)
  }

  #answer(look: Look<Id, Answer<Value>>, reply: Reply): Answer<Value> | Promise<Answer<Value>> {
    const { key, id, generation } = look
    if (reply instanceof Error) return this.#loadWithoutCache(key, id, look) //            1 look
    const { entity } = this.#source
    const held = this.inspect(key, reply) //                                             2 judge
    if (!held.usable) {
      this.#tell(look, { type: 'miss', entity, reason: held.reason })
      return this.#withinHardTimeout(this.#fill(key, id, held.seen, look), look) //       6 fill
    }
    if (this.#parts.onHit) this.#tell(look, { type: 'hit', entity, tier: 'l2', verdict: held.verdict })
    if (held.verdict === 'stale') {
      return this.#fillOrServeStale(key, id, held, reply as StoredBytes, look) //          5 fill, or help out
    }
    look.answered = held.value === undefined ? ANSWERED.negative : ANSWERED.hit
    if (generation !== undefined) this.remember(id, held, generation)
    if (held.verdict === 'early') this.#refresh(key, id, reply as StoredBytes) //         4 serve and refresh
    return held.value //                                                                  3 serve
  }

  /**
   * Refreshes an entry whose copy in this process is about to expire in `remainingMs`, behind its readers. If another
   * process has done that already, the younger entry is taken over.
   */
  refreshBehind(key: CacheKey, id: Id, remainingMs: number): void {
    if (this.#refreshing.has(key)) return
    this.#refreshing.add(key)
    const { background, store } = this.#parts
    background.run('refresh', async () => {
      try {
        const generation = this.#tier?.generation(id)
        const bytes = await store.read(key).catch(() => undefined)
        // That the cache is away has been told, and the next reader will find out what that means for it.
        if (bytes === undefined) return
        const held = this.inspect(key, bytes)
        if (!held.usable) return
        const isYounger = remainingOf(held.entry, store.nowMs()) > remainingMs + YOUNGER_BY_MS
        if (!isYounger) await this.#filler.refresh(key, id, bytes as StoredBytes)
        else if (generation !== undefined) this.remember(id, held, generation)
      } finally {
        this.#refreshing.delete(key)
      }
    })
  }

  /** Keeps in this process' memory an entry of this version that its writer has published, if a reader could be served with it. */
  takeOver(key: CacheKey, id: Id, bytes: StoredBytes, version: Version | null): void {
    const generation = this.#tier?.generation(id)
    const held = this.inspect(key, bytes)
    if (generation === undefined || !held.usable || held.verdict === 'stale' || held.entry.version !== version) return
    this.remember(id, held, generation)
  }

  /**
   * Keeps in this process' memory what was just served, unless it was invalidated since `generation` was taken.
   *
   * @param provenAtMs since when it may lack changes, if that is known.
   */
  remember(id: Id, { entry, value }: Held<Value> & { usable: true }, generation: number, provenAtMs?: number): void {
    const { freshMs, payload, version } = entry
    // An estimate of the store's clock that lags must not make an entry younger than it can be.
    const remainingMs = Math.min(freshMs, remainingOf(entry, this.#parts.store.nowMs()))
    this.#tier?.outdate(id, version ?? null)
    this.#tier?.remember(id, { value, remainingMs, freshMs, sizeBytes: payload.length, provenAtMs }, generation)
  }

  #loadWithoutCache(key: CacheKey, id: Id, readers: Readers): Promise<Answer<Value>> {
    this.#tell(readers, { type: 'miss', entity: this.#source.entity, reason: 'unavailable' })
    readers.answered = ANSWERED.bypassed
    const load = this.#join(key, readers, (progress) => this.#filler.loadOnly(key, id, progress))
    return this.#withinHardTimeout(load, readers)
  }

  #fill(
    key: CacheKey,
    id: Id,
    seen: Seen,
    readers: Readers,
    judge: Judge<Value> = (found) => this.#admit(key, found),
  ): Promise<Answer<Value>> {
    return this.#join(key, readers, (progress) => this.#filler.fill(key, id, seen, judge, progress))
  }

  #admit(key: CacheKey, found: StoredBytes | null): ReturnType<Judge<Value>> {
    return admitted(this.inspect(key, found), found)
  }

  /**
   * Joins the fill in flight, or starts one. A reader who began after the fill had asked its question may have begun after
   * a write that the answer does not show. Then the fence of that write has revoked the lease, the fill does not land, and
   * the reader has to read again.
   */
  async #join(
    key: CacheKey,
    readers: Readers,
    fill: (progress: FlightProgress) => Promise<Value | undefined>,
  ): Promise<Answer<Value>> {
    const nowMs = this.#parts.clock.monotonicMs()
    const current = this.#flights.current(key, nowMs)
    const coalesced = { type: 'coalesced', entity: this.#source.entity, scope: 'process', waitedMs: 0 } as const
    this.#tell(current ? readers : { count: readers.count - 1 }, coalesced)
    const flight = current ?? this.#flights.start(key, fill, nowMs + this.#settings.hardTimeoutMs)
    const value = await flight.value
    readers.fill = flight.span
    const isLate = current !== undefined && readers.startedAt >= flight.askedAt
    return !isLate || (await flight.landed) ? this.share(value, isLate) : MISSED_A_WRITE
  }

  /** Of each of them: readers who share a look count as if each had looked. */
  #tell({ count }: Pick<Readers, 'count'>, event: CorralEvent): void {
    for (let reader = 0; reader < count; reader++) this.#parts.emit(event)
  }

  /** What one of several readers of the same value may have of it. */
  share(value: Value | undefined, isLate = false): Value | undefined {
    return value === undefined ? undefined : this.#source.share(value, isLate)
  }

  #refresh(key: CacheKey, id: Id, seen: StoredBytes): void {
    this.#parts.background.run('refresh', () => this.#filler.refresh(key, id, seen))
  }

  async #fillOrServeStale(
    key: CacheKey,
    id: Id,
    held: Held<Value> & { usable: true },
    bytes: StoredBytes,
    readers: Readers,
  ): Promise<Answer<Value>> {
    const { clock, floors } = this.#parts
    readers.waitsSinceMs ??= clock.monotonicMs()
    const fill = this.#fill(key, id, { bytes, useless: false }, readers)
    const late = Symbol('late')
    let cancel = () => {}
    const softTimeout = new Promise<typeof late>((resolve) => {
      cancel = clock.after(this.#settings.softTimeoutMs, () => resolve(late))
    })
    const answer = await Promise.race([fill, softTimeout])
      .catch(() => late)
      .finally(() => cancel())
    if (answer !== late) return answer as Answer<Value>
    // A fence that arrived meanwhile has raised the floor: what was admissible then is not any more.
    if (this.#inspection.judge(held.entry, floors.get(key)) !== 'stale') return this.#withinHardTimeout(fill, readers)
    // The fill goes on behind; its failure is reported by the load.
    readers.answered = ANSWERED.stale
    this.#tier?.outdate(id, held.entry.version ?? null)
    return held.value
  }

  /** See `Inspection`. */
  inspect(key: CacheKey, bytes: StoredBytes | null, at: CacheKey = key): Held<Value> {
    return this.#inspection.inspect(key, bytes, at)
  }

  demands(): Demands {
    return this.#inspection.demands()
  }

  /** Of what is read again, only what is left: the time is that of the read as a whole. */
  #withinHardTimeout<Result>(answer: Promise<Result>, waiting: Pick<Readers, 'waitsSinceMs'>): Promise<Result> {
    const { hardTimeoutMs } = this.#settings
    const { clock } = this.#parts
    const nowMs = clock.monotonicMs()
    waiting.waitsSinceMs ??= nowMs
    const leftMs = waiting.waitsSinceMs + hardTimeoutMs - nowMs
    return withinHardTimeout(clock, this.#source.entity, hardTimeoutMs, answer, leftMs)
  }
}

/** What is left of an entry's fresh time; negative when it is over. */
export function remainingOf(entry: Entry, nowMs: number): number {
  return entry.filledAtMs + entry.freshMs - nowMs
}
