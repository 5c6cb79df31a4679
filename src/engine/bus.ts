import type { Chance, Clock } from '../core/clock.js'
import type { EmitEvent } from '../core/events.js'
import type { Channel } from '../core/ports.js'
import { type AnnouncedChange, type BusMessage, BusMessageCodec } from './bus-message.js'
import type { Invalidation } from './invalidation.js'
import { Publishers } from './publishers.js'

export interface BusSettings {
  readonly heartbeatMs: number
  /** The near tier answers only while the last proof that messages arrive is younger than this. */
  readonly trustMs: number
}

/** Changes in one message at most. */
const MAX_CHANGES = 500
/** Bytes of published rows in one message at most: every process of the namespace gets them, and Redis buffers them for each. */
const MAX_ENTRY_BYTES = 256 * 1024
/** Messages that may be on their way to the cache at once. Past it they are skipped, and the others notice the gap. */
const MAX_UNANSWERED = 64
/** How long `close` waits for the last messages to leave. */
const FAREWELL_MS = 250
/** Connections that do not heal are replaced less and less often, down to once in so many times the first wait. */
const MAX_PATIENCE = 10

/**
 * Tells the other processes what this one has changed, and knows when it may have missed what they told.
 *
 * - Messages are numbered per publisher: a gap empties the near tier, and so does a publisher that falls silent, whose last
 *   words may have been lost with it.
 * - Each process hears its own heartbeats. One that comes back proves that everything published before it was sent has been
 *   delivered, so the near tier is trusted for `trustMs` from when the last returned heartbeat was *sent*. That is compared on
 *   the monotonic clock at every read: a process that was stopped does not answer from what it held before.
 * - Subscribing anew, for whatever reason, empties the near tier, and once more when everybody who lives has been heard since: whose first word never
 *   came may have ended with a change that nobody was told.
 * - When no heartbeat has come back for `trustMs`, a connection may be half open: all of them are replaced. So
 *   the others learn within that time that they have missed something, though no error was ever seen.
 *
 * Publishing never waits and never piles up: what cannot be sent is a gap.
 */
export class Bus {
  readonly #channel: Channel
  readonly #clock: Clock
  readonly #invalidation: Invalidation
  readonly #settings: BusSettings
  readonly #emit: EmitEvent
  readonly #onReturn: (delayMs: number) => void
  readonly #codec: BusMessageCodec
  readonly #publisher: string
  readonly #others = new Publishers()
  /** When our own heartbeats were sent, by number; the oldest are forgotten. */
  readonly #beatsSent = new Map<number, number>()
  readonly #unanswered = new Set<Promise<void>>()
  #number = 0
  #queue: AnnouncedChange[] = []
  #trustedUntilMs = 0
  #subscribed = false
  /** Heartbeats sent since one came back, and how many may be before the connections are replaced. */
  #unheard = 0
  #patience: number
  #cancelBeat = () => {}
  #closed = false

  constructor(options: {
    channel: Channel
    clock: Clock
    chance: Chance
    invalidation: Invalidation
    settings: BusSettings
    emit: EmitEvent
    /** Shared by the fleet: messages without the HMAC of one of them are refused. The first signs. None: messages are unsigned. */
    secrets: readonly string[]
    /** A heartbeat has come back, so long after it was sent. Default: nobody wants to know. */
    onReturn?: (delayMs: number) => void
  }) {
    this.#channel = options.channel
    this.#clock = options.clock
    this.#invalidation = options.invalidation
    this.#settings = options.settings
    this.#emit = options.emit
    this.#onReturn = options.onReturn ?? (() => {})
    this.#codec = new BusMessageCodec(options.secrets)
    this.#publisher = options.chance.token()
    this.#patience = this.#firstPatience
  }

  start(): void {
    this.#channel.open({
      onMessage: (message) => this.#receive(message),
      onUp: () => this.#up(),
      onDown: () => this.#down(),
    })
    this.#scheduleBeat()
    // Before anything can be written: who is known to be there is missed when it ends.
    this.#beat()
  }

  /** Whether what this process holds may be trusted at `nowMs` (monotonic). */
  isLive(nowMs: number): boolean {
    return nowMs < this.#trustedUntilMs
  }

  /** Tells the others. What one tick announces travels in one message. */
  announce(changes: readonly AnnouncedChange[]): void {
    if (this.#closed) return
    if (this.#queue.length === 0 && changes.length > 0) this.#clock.endOfTick(() => this.#send())
    // One by one: as arguments of a single `push`, the changes of a large transaction overflow the stack.
    for (const change of changes) this.#queue.push(change)
  }

  /** Takes leave of the others, with the last changes before it. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#send()
    this.#publish(++this.#number, [], true)
    this.#closed = true
    this.#cancelBeat()
    this.#subscribed = false
    this.#trustedUntilMs = 0
    await this.#untilSent()
    await this.#channel.close()
  }

  #send(): void {
    const queue = this.#queue
    this.#queue = []
    for (let at = 0; at < queue.length; at += MAX_CHANGES) {
      this.#publish(++this.#number, bounded(queue.slice(at, at + MAX_CHANGES)))
    }
  }

  /** A number is used up even if its message is not sent: that is how the others learn that they missed one. */
  #publish(number: number, changes: readonly AnnouncedChange[], leaves = false): void {
    if (this.#unanswered.size >= MAX_UNANSWERED) {
      this.#emit({ type: 'bus.unsent', changes: changes.length })
      return
    }
    const message = this.#codec.write({ publisher: this.#publisher, number, changes, leaves })
    const sent: Promise<void> = this.#channel
      .publish(message)
      .catch(() => this.#emit({ type: 'bus.unsent', changes: changes.length }))
      .finally(() => this.#unanswered.delete(sent))
    this.#unanswered.add(sent)
  }

  #untilSent(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(FAREWELL_MS, resolve)
      void Promise.all(this.#unanswered).then(() => {
        cancel()
        resolve()
      })
    })
  }

  #scheduleBeat(): void {
    this.#cancelBeat = this.#clock.after(this.#settings.heartbeatMs, () => {
      this.#scheduleBeat()
      if (++this.#unheard > this.#patience) this.#renew()
      else this.#beat()
    })
  }

  #beat(): void {
    const number = ++this.#number
    // Taken before the message leaves: everything published until then must be covered by the proof.
    this.#beatsSent.set(number, this.#clock.monotonicMs())
    if (this.#beatsSent.size > MAX_UNANSWERED) this.#beatsSent.delete(this.#beatsSent.keys().next().value as number)
    this.#publish(number, [])
  }

  /** Counted in heartbeats, not in time: after a pause of this process the answers are here, but not yet read. */
  get #firstPatience(): number {
    const { heartbeatMs, trustMs } = this.#settings
    return Math.max(2, Math.ceil(trustMs / heartbeatMs) - 1)
  }

  #renew(): void {
    this.#unheard = 0
    this.#patience = Math.min(this.#patience * 2, this.#firstPatience * MAX_PATIENCE)
    this.#channel.renew()
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

  #hear(message: BusMessage): void {
    switch (this.#others.hear(message, this.#clock.monotonicMs())) {
      case 'replayed':
        this.#emit({ type: 'bus.refused', reason: 'replayed' })
        return
      case 'gap':
        this.#flush('gap')
        break
      case 'next':
    }
    for (const change of message.changes) this.#invalidation.apply(change)
  }

  #hearOwn(number: number): void {
    const sentMs = this.#beatsSent.get(number)
    if (sentMs === undefined || !this.#subscribed) return
    for (const sent of this.#beatsSent.keys()) if (sent <= number) this.#beatsSent.delete(sent)
    this.#onReturn(this.#clock.monotonicMs() - sentMs)
    const { trustMs } = this.#settings
    // Asked here and not by a timer: what the others said before this heartbeat has been heard by now.
    if (this.#others.someAreSilent(sentMs - trustMs)) this.#flush('silent')
    if (this.#others.unknownAreSilent(sentMs - trustMs)) this.#flush('unheard')
    this.#trustedUntilMs = Math.max(this.#trustedUntilMs, sentMs + trustMs)
    this.#unheard = 0
    this.#patience = this.#firstPatience
  }

  #up(): void {
    if (this.#closed) return
    this.#subscribed = true
    this.#others.begin(this.#clock.monotonicMs())
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

  #flush(reason: 'gap' | 'silent' | 'unheard' | 'subscribed' | 'interrupted' | 'unknown-format'): void {
    this.#invalidation.flush()
    this.#emit({ type: 'bus.flush', reason })
  }
}

/** The rows beyond what one message may carry are only named: whoever holds them drops them. */
function bounded(changes: readonly AnnouncedChange[]): readonly AnnouncedChange[] {
  let left = MAX_ENTRY_BYTES
  return changes.map((change) => {
    left -= change.entry?.length ?? 0
    return change.entry && left < 0 ? { ...change, entry: undefined } : change
  })
}
