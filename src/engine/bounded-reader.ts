import type { MissReason } from '../core/events.js'
import type { CacheKey } from '../core/key.js'
import type { StoredBytes } from '../core/ports.js'
import { ANSWERED, type ReadSpan, UNTOLD } from '../core/telemetry.js'
import { withinHardTimeout } from './deadline.js'
import type { EngineParts, Filler, NearTier, ReadSource, Seen } from './filler.js'
import { admitted } from './inspection.js'
import type { Holder } from './invalidation.js'
import type { Reader } from './reader.js'
import { type FlightProgress, Singleflight } from './singleflight.js'

/** Past this many that were of no use a reader asks for itself. Each means a write, or a reader with less to ask for. */
const MAX_JOINED = 16

/** Rows in memory, with what is known of when they were current. */
export interface ProvenTier<Id, Value> extends NearTier<Id, Value> {
  /** What is held, if it lacks no change that was committed before `leastMs`, and may be trusted otherwise. */
  recallProven(id: Id, leastMs: number): { readonly value: Value | undefined } | undefined
}

/** An answer, and the moment on this process' clock before which no committed change is missing from it. */
interface Proven<Value> {
  readonly value: Value | undefined
  readonly provenAtMs: number
}

/**
 * Reads that lack no change committed more than `maxStaleMs` before they began, whatever has failed. Where the cache cannot prove that,
 * the database answers.
 *
 * Every answer carries the moment up to which it is complete, and is given to a reader only if that is late enough for it:
 *
 * 1. from memory: what was proven when it was taken there;
 * 2. from the cache: what the tick proves that was read along with it (`Watermark`);
 * 3. loaded: when the load began. Filled where the cache is proven to be in order, and left out of it where not.
 *
 * Otherwise a bounded read asks as much as any other: floors, epoch, shape and age count, and what is fenced meanwhile is read again.
 * An expired entry never helps out, and copies of hot keys are not asked: they lie on other shards than their entries.
 */
export class BoundedReader<Id, Value> implements Holder {
  readonly prefix: string
  readonly #options: BoundedReaderOptions<Id, Value>
  readonly #flights = new Singleflight<Proven<Value>>()

  constructor(options: BoundedReaderOptions<Id, Value>) {
    this.#options = options
    this.prefix = options.prefix
    options.invalidation.register(this)
  }

  /**
   * @param span is told how the key was answered, unless memory answers.
   * @throws SourceError, FillTimeoutError or OverloadedError if a needed load fails.
   */
  async read(key: CacheKey, id: Id, maxStaleMs: number, span: ReadSpan = UNTOLD): Promise<Value | undefined> {
    const { clock, isPending, onHit } = this.#options.parts
    const { tier, entity } = this.#options
    const startedAt = this.#flights.now()
    const leastMs = clock.monotonicMs() - maxStaleMs
    const near = tier?.recallProven(id, leastMs)
    if (near) {
      onHit?.({ type: 'hit', entity, tier: 'l1', verdict: 'fresh' })
      return near.value
    }
    const asker = { maxStaleMs, leastMs, startedAt, span }
    if (isPending(key)) return this.#load(key, id, asker, 'unavailable')
    const look = this.#look(key, id, maxStaleMs)
    if (look === undefined) return this.#load(key, id, asker, 'unproven')
    const generation = tier?.generation(id)
    const [provenAtMs, bytes] = await look
    if (bytes === undefined) return this.#load(key, id, asker, 'unavailable')
    if (provenAtMs < leastMs) return this.#load(key, id, asker, 'unproven')
    return this.#answer(key, id, { bytes, provenAtMs, generation }, asker)
  }

  forget(key: string): void {
    this.#flights.forget(key as CacheKey)
  }

  clear(): void {
    this.#flights.forgetAll()
  }

  /** The proof (since when the entry may lack changes), and what is stored: undefined if the cache does not answer. Undefined as a whole: nothing can be proven, so nothing is read. */
  #look(key: CacheKey, id: Id, maxStaleMs: number) {
    const { parts, prove } = this.#options
    // The proof is asked for first: what is read along with it is then no older.
    const proof = prove(key, id, maxStaleMs)
    return proof && Promise.all([proof, parts.store.read(key).catch(() => undefined)])
  }

  #answer(
    key: CacheKey,
    id: Id,
    { bytes, provenAtMs, generation }: Look,
    asker: Asker,
  ): Promise<Value | undefined> | Value | undefined {
    const { parts, reader, filler, entity } = this.#options
    const held = reader.inspect(key, bytes)
    if (!held.usable || held.verdict === 'stale') {
      this.#tell(held.usable ? 'expired' : held.reason)
      asker.span.answered(ANSWERED.missed)
      const seen = held.usable ? { bytes, useless: false } : held.seen
      return this.#share(key, asker, (progress) => this.#fill(key, id, seen, asker, progress))
    }
    asker.span.answered(held.value === undefined ? ANSWERED.negative : ANSWERED.hit)
    parts.onHit?.({ type: 'hit', entity, tier: 'l2', verdict: held.verdict })
    if (generation !== undefined) reader.remember(id, held, generation, provenAtMs)
    if (held.verdict === 'early') parts.background.run('refresh', () => filler.refresh(key, id, bytes as StoredBytes))
    return held.value
  }

  /** From the database, past the cache: nobody knows what that lacks. */
  #load(key: CacheKey, id: Id, asker: Asker, reason: MissReason): Promise<Value | undefined> {
    this.#tell(reason)
    asker.span.answered(ANSWERED.bypassed)
    return this.#share(key, asker, (progress) => this.#loadOnly(key, id, progress))
  }

  async #loadOnly(key: CacheKey, id: Id, progress: FlightProgress): Promise<Proven<Value>> {
    const provenAtMs = this.#nowMs()
    return { value: await this.#options.filler.loadOnly(key, id, progress, true), provenAtMs }
  }

  async #fill(key: CacheKey, id: Id, seen: Seen, asker: Asker, progress: FlightProgress): Promise<Proven<Value>> {
    const { filler, reader } = this.#options
    const askedMs = this.#nowMs()
    let isOthers = false
    const judge = (bytes: StoredBytes | null) => {
      const judged = admitted(reader.inspect(key, bytes), bytes)
      if ('value' in judged) isOthers = true
      return judged
    }
    const value = await filler.fill(key, id, { ...seen, fromPrimary: true }, judge, progress)
    return isOthers ? this.#lookAgain(key, id, asker, progress) : { value, provenAtMs: askedMs }
  }

  /**
   * Somebody else has filled meanwhile. What was proven along with the look says nothing of that: another server may have taken over since, with
   * entries from before fences that never reached it. So it is looked at once more, with a proof of its own.
   */
  async #lookAgain(key: CacheKey, id: Id, asker: Asker, progress: FlightProgress): Promise<Proven<Value>> {
    progress.asks()
    const [provenAtMs, bytes] = (await this.#look(key, id, asker.maxStaleMs)) ?? []
    if (provenAtMs !== undefined && provenAtMs >= asker.leastMs && bytes !== undefined) {
      const held = this.#options.reader.inspect(key, bytes)
      if (held.usable && held.verdict !== 'stale') return { value: held.value, provenAtMs }
    }
    return this.#loadOnly(key, id, progress)
  }

  /** Joins what is under way for this key if that can answer the asker, or starts it. */
  async #share(
    key: CacheKey,
    { leastMs, startedAt }: Asker,
    act: (progress: FlightProgress) => Promise<Proven<Value>>,
  ): Promise<Value | undefined> {
    const { parts, hardTimeoutMs, entity, reader } = this.#options
    const endsAtMs = this.#nowMs() + hardTimeoutMs
    const within = <Answer>(answer: Promise<Answer>) =>
      withinHardTimeout(parts.clock, entity, hardTimeoutMs, answer, endsAtMs - this.#nowMs())
    for (let joined = 0; joined < MAX_JOINED; joined++) {
      const current = this.#flights.current(key, this.#nowMs())
      if (current === undefined) break
      parts.emit({ type: 'coalesced', entity, scope: 'process', waitedMs: 0 })
      const { value, provenAtMs } = await within(current.value)
      // The same rule as for other reads: who began after the question was asked has to know that no write came in between.
      const isLate = startedAt >= current.askedAt
      const isCurrent = !isLate || (await current.landed)
      if (provenAtMs >= leastMs && isCurrent) return reader.share(value, isLate)
    }
    const { value } = await within(this.#flights.start(key, act, this.#nowMs() + hardTimeoutMs).value)
    return reader.share(value)
  }

  #tell(reason: MissReason): void {
    this.#options.parts.emit({ type: 'miss', entity: this.#options.entity, reason })
  }

  #nowMs(): number {
    return this.#options.parts.clock.monotonicMs()
  }
}

interface Look {
  readonly bytes: StoredBytes | null
  readonly provenAtMs: number
  readonly generation: number | undefined
}

interface Asker {
  readonly maxStaleMs: number
  /** The moment from before which nothing may be missing. */
  readonly leastMs: number
  /** On the scale of the flights. */
  readonly startedAt: number
  readonly span: ReadSpan
}

export interface BoundedReaderOptions<Id, Value> extends Pick<ReadSource<Id, Value>, 'entity'> {
  readonly parts: EngineParts
  readonly invalidation: { register(holder: Holder): void }
  /** All keys read here begin with it. */
  readonly prefix: string
  readonly reader: Pick<Reader<Id, Value>, 'inspect' | 'remember' | 'share'>
  readonly filler: Filler<Id, Value>
  readonly tier: ProvenTier<Id, Value> | undefined
  readonly hardTimeoutMs: number
  /** What the cache can prove of what is read in this tick of the process; undefined: nothing, so that it need not be read. */
  readonly prove: (key: CacheKey, id: Id, boundMs: number) => Promise<number> | undefined
}
