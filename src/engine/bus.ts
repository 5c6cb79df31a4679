import type { Chance, Clock } from '../core/clock.js'
import type { EmitEvent } from '../core/events.js'
import type { Channel } from '../core/ports.js'
import { type AnnouncedChange, type BusMessage, BusMessageCodec } from './bus-message.js'
import type { Invalidation } from './invalidation.js'

export interface BusSettings {
  readonly heartbeatMs: number
  /** The near tier answers only while the last proof that messages arrive is younger than this. */
  readonly trustMs: number
}

/** Changes in one message at most. */
const MAX_CHANGES = 500
/** Messages that may be on their way to the cache at once. Past it they are skipped, and the others notice the gap. */
const MAX_UNANSWERED = 64
/** Other processes whose numbering is remembered. */
const MAX_PUBLISHERS = 10_000

/**
 * Tells the other processes what this one has changed, and knows when it may have missed what they told.
 *
 * - Messages are numbered per publisher: a gap empties the near tier.
 * - Each process hears its own heartbeats. One that comes back proves that everything published before it was sent has been
 *   delivered, so the near tier is trusted for `trustMs` from when the last returned heartbeat was *sent*. That is compared on
 *   the monotonic clock at every read: a process that was stopped does not answer from what it held before.
 * - Subscribing anew, for whatever reason, empties the near tier.
 *
 * Publishing never waits and never piles up: what cannot be sent is a gap.
 */
export class Bus {
  readonly #channel: Channel
  readonly #clock: Clock
  readonly #invalidation: Invalidation
  readonly #settings: BusSettings
  readonly #emit: EmitEvent
  readonly #codec: BusMessageCodec
  readonly #publisher: string
  /** Last number heard from each publisher since we are subscribed. */
  readonly #heard = new Map<string, number>()
  /** When our own heartbeats were sent, by number; the oldest are forgotten. */
  readonly #beatsSent = new Map<number, number>()
  #number = 0
  #queue: AnnouncedChange[] = []
  #unanswered = 0
  #trustedUntilMs = 0
  #subscribed = false
  #cancelBeat = () => {}
  #closed = false

  constructor(options: {
    channel: Channel
    clock: Clock
    chance: Chance
    invalidation: Invalidation
    settings: BusSettings
    emit: EmitEvent
    /** Shared by the fleet: messages without its HMAC are refused. */
    secret: string | undefined
  }) {
    this.#channel = options.channel
    this.#clock = options.clock
    this.#invalidation = options.invalidation
    this.#settings = options.settings
    this.#emit = options.emit
    this.#codec = new BusMessageCodec(options.secret)
    this.#publisher = options.chance.token()
  }

  start(): void {
    this.#channel.open({
      onMessage: (message) => this.#receive(message),
      onUp: () => this.#up(),
      onDown: () => this.#down(),
    })
    this.#scheduleBeat()
  }

  /** Whether what this process holds may be trusted at `nowMs` (monotonic). */
  isLive(nowMs: number): boolean {
    return nowMs < this.#trustedUntilMs
  }

  /** Tells the others. What one tick announces travels in one message. */
  announce(changes: readonly AnnouncedChange[]): void {
    if (this.#closed) return
    if (this.#queue.length === 0 && changes.length > 0) this.#clock.endOfTick(() => this.#send())
    this.#queue.push(...changes)
  }

  async close(): Promise<void> {
    this.#send()
    this.#closed = true
    this.#cancelBeat()
    this.#trustedUntilMs = 0
    await this.#channel.close()
  }

  #send(): void {
    const queue = this.#queue
    this.#queue = []
    for (let at = 0; at < queue.length; at += MAX_CHANGES) this.#publish(queue.slice(at, at + MAX_CHANGES))
  }

  #publish(changes: readonly AnnouncedChange[]): number {
    // The number is used up even if the message is not sent: that is how the others learn that they missed one.
    const number = ++this.#number
    if (this.#unanswered >= MAX_UNANSWERED) {
      this.#emit({ type: 'bus.unsent', changes: changes.length })
      return number
    }
    this.#unanswered++
    this.#channel
      .publish(this.#codec.write({ publisher: this.#publisher, number, changes }))
      .catch(() => this.#emit({ type: 'bus.unsent', changes: changes.length }))
      .finally(() => this.#unanswered--)
    return number
  }

  #scheduleBeat(): void {
    this.#cancelBeat = this.#clock.after(this.#settings.heartbeatMs, () => {
      this.#beat()
      this.#scheduleBeat()
    })
  }

  #beat(): void {
    if (this.#closed) return
    // Taken before the message leaves: everything published until then must be covered by the proof.
    const sentMs = this.#clock.monotonicMs()
    this.#beatsSent.set(this.#publish([]), sentMs)
    if (this.#beatsSent.size > MAX_UNANSWERED) this.#beatsSent.delete(this.#beatsSent.keys().next().value as number)
  }

  #receive(text: string): void {
    const message = this.#codec.read(text)
    if ('refused' in message) {
      if (message.refused === 'unknown-format') this.#flush('unknown-format')
      else this.#emit({ type: 'bus.refused', reason: message.refused })
      return
    }
    if (message.publisher === this.#publisher) this.#hearOwn(message.number)
    else this.#hear(message)
  }

  #hear({ publisher, number, changes }: BusMessage): void {
    const last = this.#heard.get(publisher)
    if (last !== undefined && number <= last) {
      this.#emit({ type: 'bus.refused', reason: 'replayed' })
      return
    }
    // A publisher not heard before may have been talking while we were subscribed, unless this is its first word.
    if (number !== (last ?? 0) + 1) this.#flush('gap')
    this.#heard.delete(publisher)
    this.#heard.set(publisher, number)
    if (this.#heard.size > MAX_PUBLISHERS) this.#heard.delete(this.#heard.keys().next().value as string)
    for (const change of changes) this.#invalidation.apply(change)
  }

  #hearOwn(number: number): void {
    const sentMs = this.#beatsSent.get(number)
    if (sentMs === undefined || !this.#subscribed) return
    for (const sent of this.#beatsSent.keys()) if (sent <= number) this.#beatsSent.delete(sent)
    this.#trustedUntilMs = Math.max(this.#trustedUntilMs, sentMs + this.#settings.trustMs)
  }

  #up(): void {
    this.#subscribed = true
    this.#heard.clear()
    this.#beatsSent.clear()
    this.#flush('subscribed')
    // Without waiting for the next heartbeat: the near tier is of use one round trip from now.
    this.#beat()
  }

  #down(): void {
    if (!this.#subscribed) return
    this.#subscribed = false
    this.#trustedUntilMs = 0
    this.#flush('interrupted')
  }

  #flush(reason: 'gap' | 'subscribed' | 'interrupted' | 'unknown-format'): void {
    this.#invalidation.flush()
    this.#emit({ type: 'bus.flush', reason })
  }
}
