import type { Clock } from '../core/clock.js'
import type { CacheKey } from '../core/key.js'
import type { FenceOutcome } from '../core/ports.js'
import type { AnnouncedChange } from './bus-message.js'
import { type OrderedFence, oneOfEach } from './fence-order.js'
import { TickBatch } from './tick-batch.js'

/** What became of fences: those that are late, and what the others have met. */
export interface Delivery {
  readonly late: ReadonlySet<CacheKey>
  readonly outcomes: ReadonlyMap<CacheKey, FenceOutcome>
}

/** What one write has to send. */
interface Leaving {
  readonly fences: readonly OrderedFence[]
  readonly told: readonly AnnouncedChange[]
}

/** Of a write with more, the script is busy enough without others. */
const MAX_FENCES = 8
/** So many writes leave in one batch. */
const MAX_WRITES = 32

/**
 * The fences of writes whose commits are heard of in one turn of the event loop, sent as one: their rows, and once only the marks that all writes
 * of a table make old. A script, and a message to the others, costs more than what a write has in it.
 *
 * Nothing waits but for what is runnable anyway. What the others are told leaves right behind the fences, so this is for where that comes after them
 * (`Channel.keepsOrder`); where there are several shards each fence is a script of its own, and nothing would be saved.
 */
export class SharedFences {
  readonly #batch: TickBatch<Leaving, Delivery>
  readonly #send: (fences: readonly OrderedFence[]) => Promise<Delivery>
  readonly #announce: (changes: readonly AnnouncedChange[]) => void

  constructor(options: {
    clock: Pick<Clock, 'endOfTurn'>
    /** Sends them before it returns. Never rejects. */
    send: (fences: readonly OrderedFence[]) => Promise<Delivery>
    announce: (changes: readonly AnnouncedChange[]) => void
  }) {
    this.#send = options.send
    this.#announce = options.announce
    this.#batch = new TickBatch({
      when: (leave) => options.clock.endOfTurn(leave),
      maxSize: MAX_WRITES,
      send: (writes) => this.#leave(writes),
    })
  }

  /** Sends fences, few of them together with those of other writes in this turn, and tells the other processes right behind them. `isOneBatch` has to hold for them. */
  async leave(fences: readonly OrderedFence[], told: readonly AnnouncedChange[]): Promise<Delivery> {
    if (fences.length <= MAX_FENCES) return this.#batch.ask({ fences, told })
    const [delivery] = await this.#leave([{ fences, told }])
    return delivery as Delivery
  }

  async #leave(writes: readonly Leaving[]): Promise<Delivery[]> {
    const sending = this.#send(together(writes))
    for (const { told } of writes) this.#announce(told)
    const delivery = await sending
    return writes.map(() => delivery)
  }
}

/** One fence of each key. Those that have a version come first: of the others hardly any finds something, and they are asked for at once. */
function together(writes: readonly Leaving[]): readonly OrderedFence[] {
  const all = oneOfEach(writes.flatMap(({ fences }) => fences))
  return [...all.filter(({ version }) => version !== null), ...all.filter(({ version }) => version === null)]
}
