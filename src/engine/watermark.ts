import { Buffer } from 'node:buffer'
import type { Clock } from '../core/clock.js'
import { CacheUnavailableError } from '../core/errors.js'
import type { CacheKey } from '../core/key.js'
import type { CacheStore, StoredBytes } from '../core/ports.js'
import { readTick, type Tick } from '../core/tick.js'
import { withinMs } from './deadline.js'
import { keepLast } from './keep-last.js'

/** Nothing is proven, however long ago. */
export const NEVER = Number.NEGATIVE_INFINITY
/** Looks in the time a bound allows: what is proven is at most a look and two ticks old. */
const LOOKS_PER_BOUND = 4
const LEAST_PAUSE_MS = 25
const LONGEST_PAUSE_MS = 1_000
/** A look that takes longer is given up. */
const DEADLINE_MS = 1_000
/** How long nobody has to ask before this process stops to look. */
const KEEP_LOOKING_MS = 30_000
/** Ticks of a chain whose first sight is remembered. With four looks in a bound, older ones prove nothing of use. */
const SIGHTS = 16
const SPARE_CHAINS = 16

/** When a look was sent that found tick `number` to be the last. Tick `number + 1` was not written then. */
interface Sight {
  readonly number: number
  sentMs: number
}

/** What is known of one shard by looking at it. */
interface Shard {
  asking: boolean
  provenAtMs: number
  /** Null: it has not answered yet. */
  tick: string | undefined | null
  /** When a look found another tick than the one before it. */
  movedAtMs: number
}

/**
 * How far the relay has come, as this process can prove it by its own clock, and by no other.
 *
 * The relay leaves tick n on a shard when everything is fenced there that it saw in the database *after* it had left tick n - 1. Say this process
 * has looked at the shard at a moment t of its own clock, and tick n - 1 was not there yet. If it sees tick n later, the relay's look at
 * the database came after t. So every change committed before t has been fenced where tick n is seen.
 *
 * - A tick is evidence for the server that shows it, whichever that is: replicas receive fences and ticks in one order. So it is read
 *   together with what it is to prove, before it and in one batch. A replica made primary that lacks fences also lacks the ticks after them.
 * - That a tick was *not* there is evidence only on the server it is written on. So looks ask the server who it is, and count only where
 *   that is the one the tick names. A replica that lags, or a former primary that follows now, shows ticks long after they were written.
 * - With the relay dead, a shard isolated or a replay under way there are no new ticks, and what is proven grows older by itself.
 */
export class Watermark {
  readonly #options: WatermarkOptions
  readonly #sights = new Map<string, Sight[]>()
  readonly #shards = new Map<string, Shard>()
  /** Ticks that are being read along in this tick of the process. */
  #reading = new Map<string, Promise<number>>()
  #pauseMs = LONGEST_PAUSE_MS
  #lookUntilMs = NEVER
  #cancel: (() => void) | undefined
  #closed = false

  constructor(options: WatermarkOptions) {
    this.#options = options
  }

  /**
   * The moment on this process' clock before which every committed change has been fenced in all that the caller finds under `keys`, if it
   * asks for them in this tick of the process and after this call. Never rejects: `NEVER` where nothing is proven.
   *
   * @param boundMs the age the caller can live with: how often this process looks follows from the smallest.
   */
  prove(keys: readonly CacheKey[], boundMs: number): Promise<number> {
    this.watch(boundMs)
    const { shards } = this.#options
    const names = keys.length === 1 ? [shards.of(keys[0] as CacheKey)] : [...new Set(keys.map((key) => shards.of(key)))]
    const [only, ...others] = names.map((name) => this.#readAlong(name))
    if (others.length === 0) return only ?? Promise.resolve(NEVER)
    return Promise.all([only as Promise<number>, ...others]).then((each) => Math.min(...each))
  }

  /** Looks at the shards from now on, and until nobody has asked for a while. */
  watch(boundMs: number): void {
    if (this.#closed) return
    const pauseMs = Math.min(LONGEST_PAUSE_MS, Math.max(LEAST_PAUSE_MS, boundMs / LOOKS_PER_BOUND))
    this.#lookUntilMs = this.#options.clock.monotonicMs() + KEEP_LOOKING_MS
    if (this.#cancel !== undefined && pauseMs >= this.#pauseMs) return
    this.#cancel?.()
    this.#pauseMs = pauseMs
    this.#look()
  }

  /** What has been proven of the shard of a key, on whichever server. */
  provenAtMs(key: CacheKey): number {
    return this.#shards.get(this.#options.shards.of(key))?.provenAtMs ?? NEVER
  }

  /** The same of all shards: what is proven least. */
  get leastProvenAtMs(): number {
    return this.#shards.size === 0 ? NEVER : Math.min(...[...this.#shards.values()].map(({ provenAtMs }) => provenAtMs))
  }

  /** Whether a relay has ever left a tick on any shard; undefined: they have not all answered yet. */
  get hasTicks(): boolean | undefined {
    const ticks = [...this.#shards.values()].map(({ tick }) => tick)
    if (ticks.some((tick) => typeof tick === 'string')) return true
    return ticks.length === 0 || ticks.includes(null) ? undefined : false
  }

  /** When a look last found that a relay is at work on any shard. */
  get movedAtMs(): number {
    return Math.max(NEVER, ...[...this.#shards.values()].map(({ movedAtMs }) => movedAtMs))
  }

  close(): void {
    this.#closed = true
    this.#cancel?.()
    this.#cancel = undefined
  }

  #readAlong(name: string): Promise<number> {
    const current = this.#reading.get(name)
    if (current) return current
    const { clock, shards, read } = this.#options
    if (this.#reading.size === 0) clock.endOfTick(() => this.#reading.clear())
    let key: CacheKey
    try {
      key = shards.tickKey(name)
    } catch {
      return Promise.resolve(NEVER)
    }
    const proven = read(key).then(
      (bytes) => {
        const provenAtMs = this.#proofIn(readTick(bytes === null ? undefined : Buffer.from(bytes).toString('latin1')))
        const shard = this.#shards.get(name)
        if (shard) shard.provenAtMs = Math.max(shard.provenAtMs, provenAtMs)
        return provenAtMs
      },
      () => NEVER,
    )
    this.#reading.set(name, proven)
    return proven
  }

  #proofIn(tick: Tick | undefined): number {
    if (tick === undefined) return NEVER
    // What was not told row by row: entries of an earlier epoch lack it.
    this.#options.learnEpoch(tick.epoch)
    const sights = this.#sights.get(tick.chain) ?? []
    return sights.findLast(({ number }) => number <= tick.number - 2)?.sentMs ?? NEVER
  }

  /** Asks all shards, and again after a pause. */
  #look(): void {
    const { clock, shards } = this.#options
    if (clock.monotonicMs() > this.#lookUntilMs) {
      this.#cancel = undefined
      this.#shards.clear()
      return
    }
    this.#cancel = clock.after(this.#pauseMs, () => this.#look())
    let names: readonly string[]
    try {
      names = shards.list()
    } catch {
      return
    }
    for (const name of this.#shards.keys()) if (!names.includes(name)) this.#shards.delete(name)
    for (const name of names) void this.#ask(name)
  }

  async #ask(name: string): Promise<void> {
    const shard = this.#shards.get(name) ?? { asking: false, provenAtMs: NEVER, tick: null, movedAtMs: NEVER }
    this.#shards.set(name, shard)
    if (shard.asking) return
    shard.asking = true
    const { clock, shards } = this.#options
    const sentMs = clock.monotonicMs()
    try {
      const late = () => new CacheUnavailableError('look')
      const { tick: text, server, isKnown } = await withinMs(clock, DEADLINE_MS, shards.look(name), late)
      if (typeof text === 'string' && typeof shard.tick === 'string' && text !== shard.tick) {
        shard.movedAtMs = clock.monotonicMs()
      }
      shard.tick = text
      const tick = readTick(text)
      if (tick === undefined || tick.number === 0 || !isKnown || tick.server !== server) return
      this.#see(tick, sentMs)
      shard.provenAtMs = Math.max(shard.provenAtMs, this.#proofIn(tick))
    } catch {
      // A shard that does not answer proves nothing new.
    } finally {
      shard.asking = false
    }
  }

  #see({ chain, number }: Tick, sentMs: number): void {
    const sights = this.#sights.get(chain) ?? []
    const last = sights.at(-1)
    if (last?.number === number) last.sentMs = sentMs
    else if (last === undefined || last.number < number) sights.push({ number, sentMs })
    if (sights.length > SIGHTS) sights.shift()
    keepLast(this.#sights, chain, sights, this.#shards.size + SPARE_CHAINS)
  }
}

export interface WatermarkOptions {
  readonly shards: CacheStore['shards']
  /** Travels in one batch with what else is read in the same tick of the process. */
  readonly read: (key: CacheKey) => Promise<StoredBytes | null>
  readonly clock: Clock
  readonly learnEpoch: (number: number) => void
}
