import { Buffer } from 'node:buffer'
import type { Clock } from '../core/clock.js'
import type { EmitEvent } from '../core/events.js'
import { type CacheKey, epochKey } from '../core/key.js'
import type { CacheStore, FenceSink } from '../core/ports.js'
import { toVersion, type Version } from '../core/version.js'
import type { AnnouncedChange } from './bus-message.js'
import type { Holder, Invalidation } from './invalidation.js'
import type { Singleflight } from './singleflight.js'

/** Longer than a namespace is left without a single process. Each of them tells it anew when the cache has lost it. */
const KEEP_MS = 7 * 86_400_000
const WIDTH = 8
/** More does not fit into so many characters. Whoever says so is not one of us, and no namespace gets there. */
const MOST = 36 ** WIDTH - 1

/**
 * The namespace's epoch: a number that only rises, written into every entry. Raising it makes every entry stored before a miss,
 * everywhere, at the price of one message.
 *
 * It lies in Postgres, which decides, and under one key in Redis. A process learns it when it opens its first table, by a message
 * on the bus, and by looking at that key at every heartbeat: until it does, at most one heartbeat later, it may serve what
 * the new epoch ended.
 */
export class Epoch implements Holder {
  readonly prefix: CacheKey
  readonly #options: EpochOptions
  #number = 0
  /** Whether it has been told a number yet. The first is how it found things, and no event. */
  #isTold = false
  #text = '0'.repeat(WIDTH)
  #cancel = () => {}
  #watches = false
  /** The last one this process has told of. */
  #announced = 0
  #closed = false

  constructor(options: EpochOptions) {
    this.#options = options
    this.prefix = epochKey(options.namespace)
    options.invalidation.register(this)
  }

  get number(): number {
    return this.#number
  }

  /** As entries carry it. Bound, to be handed on. */
  readonly text = (): string => this.#text

  /** Takes a number that is higher than the one known, and empties the near tier. What can be no epoch changes nothing. */
  learn(number: number): void {
    if (!(number >= this.#number && number <= MOST)) return
    const wasTold = this.#isTold
    this.#isTold = true
    if (number === this.#number) return
    this.#number = number
    this.#text = number.toString(36).padStart(WIDTH, '0')
    // Nobody may join a load that began before: it may have seen what this epoch has ended.
    this.#options.flights.forgetAll()
    this.#options.invalidation.flush()
    if (wasTold) this.#options.emit({ type: 'epoch', number })
  }

  /** Looks at the key in Redis at every heartbeat from now on. */
  watch(): void {
    if (this.#watches || this.#closed) return
    this.#watches = true
    this.#scheduleLook()
  }

  /** Learns it and tells everybody. Rejects when the cache does not acknowledge it. */
  async publish(number: number): Promise<void> {
    this.learn(number)
    const { store, announce } = this.#options
    const request = { key: this.prefix, fresh: String(this.#number), keepMs: KEEP_MS }
    const [text] = await store.mark([request])
    // What is no epoch is somebody else's, and gives way like a lower one.
    const held = numberIn(text) ?? 0
    this.learn(held)
    if (held < this.#number) {
      await store.fence([{ ...FENCE, key: this.prefix }])
      await store.mark([{ ...request, fresh: String(this.#number) }])
    }
    // After the key: whoever hears it finds it there.
    if (number <= this.#announced) return
    this.#announced = number
    announce([{ key: this.prefix, version: String(number) as Version, absent: false, hasFloor: false }])
  }

  /** Somebody has announced an epoch. */
  forget(_key: string, { version }: Pick<AnnouncedChange, 'version'>): void {
    if (version !== null) this.learn(Number(version))
  }

  /** There is nothing in it that could have been missed: it is looked for anyway. */
  clear(): void {}

  close(): void {
    this.#closed = true
    this.#cancel()
  }

  #scheduleLook(): void {
    this.#cancel = this.#options.clock.after(this.#options.lookEveryMs, () => {
      this.#scheduleLook()
      // A cache that does not answer has no old entries to show either.
      void this.#look().catch(() => {})
    })
  }

  async #look(): Promise<void> {
    const [bytes] = await this.#options.store.read([this.prefix])
    const held = numberIn(bytes ? Buffer.from(bytes).toString('latin1') : undefined) ?? 0
    this.learn(held)
    // The cache has lost it, or has not had it yet: whoever knows it tells, so it takes no relay.
    if (held < this.#number) await this.publish(this.#number)
  }
}

/** Undefined for what cannot be an epoch: the cache is not to be trusted. */
function numberIn(text: string | undefined): number | undefined {
  const number = Number(toVersion(text))
  return number <= MOST ? number : undefined
}

const FENCE = { version: null, xid: null, keepMs: 1_000, rememberAlways: false, replacement: null }

export interface EpochOptions {
  readonly namespace: string
  readonly store: FenceSink & Pick<CacheStore, 'read' | 'mark'>
  readonly clock: Clock
  readonly invalidation: Invalidation
  readonly flights: Singleflight<unknown>
  readonly lookEveryMs: number
  readonly emit: EmitEvent
  readonly announce: (changes: readonly AnnouncedChange[]) => void
}
