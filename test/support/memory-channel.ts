import type { Clock } from '../../src/core/clock.js'
import type { Channel, ChannelListener } from '../../src/core/ports.js'

/**
 * What happens to one published message: it vanishes, its sending fails, it arrives twice, or late (by the clock), or it is only
 * acknowledged late.
 */
export type MessageFault = 'lost' | 'fails' | 'twice' | { readonly delayMs: number } | { readonly answerMs: number }
/** Up: what this side publishes. Down: what it would hear. */
export type ChannelDirection = 'up' | 'down'

/** What the channels of several processes meet at. Delivers in the order of publishing, as one Redis node does. */
export class MemoryHub {
  /** Every message that was delivered or got lost on its way, in order. */
  readonly sent: string[] = []
  readonly #clock: Pick<Clock, 'after'>
  readonly #channels = new Set<MemoryChannel>()

  constructor(clock: Pick<Clock, 'after'>) {
    this.#clock = clock
  }

  /** One more process' way to the others. */
  connect(): MemoryChannel {
    const channel = new MemoryChannel(this, this.#clock)
    this.#channels.add(channel)
    return channel
  }

  /** Delivers a text to everyone who is subscribed, whoever wrote it. */
  broadcast(message: string): void {
    for (const channel of this.#channels) channel.deliver(message)
  }
}

/**
 * `Channel` in memory: the twin of `adapters/redis/redis-channel`, with everything that can befall one. It behaves as two
 * connections do: what a black hole has swallowed stays lost, and a connection that is half open tells nobody.
 */
export class MemoryChannel implements Channel {
  readonly keepsOrder = false
  /** How often this side has thrown its connections away and made new ones. */
  renewals = 0
  readonly #hub: MemoryHub
  readonly #clock: Pick<Clock, 'after'>
  readonly #faults: MessageFault[] = []
  readonly #swallowed = new Set<ChannelDirection>()
  readonly #unanswered = new Set<(error: Error) => void>()
  #outage = false
  #listener: ChannelListener | undefined
  #subscribed = false
  #waiting: string[] | undefined

  constructor(hub: MemoryHub, clock: Pick<Clock, 'after'>) {
    this.#hub = hub
    this.#clock = clock
  }

  publish(message: string): Promise<void> {
    if (this.#listener === undefined || this.#outage) return Promise.reject(new Error('not connected'))
    if (this.#swallowed.has('up')) return new Promise((_, reject) => this.#unanswered.add(reject))
    const fault = this.#faults.shift()
    if (fault === 'fails') return Promise.reject(new Error('the channel was told to fail'))
    this.#hub.sent.push(message)
    const isDelayed = typeof fault === 'object' && 'delayMs' in fault
    if (isDelayed) this.#clock.after(fault.delayMs, () => this.#hub.broadcast(message))
    else if (fault !== 'lost') this.#hub.broadcast(message)
    if (fault === 'twice') this.#hub.broadcast(message)
    if (typeof fault !== 'object' || isDelayed) return Promise.resolve()
    return new Promise((resolve) => void this.#clock.after(fault.answerMs, resolve))
  }

  open(listener: ChannelListener): void {
    this.#listener = listener
    this.#come()
  }

  renew(): void {
    this.renewals++
    this.interrupt()
    this.#swallowed.clear()
    if (!this.#outage) this.#come()
  }

  close(): Promise<void> {
    this.#loseConnection()
    this.#listener = undefined
    return Promise.resolve()
  }

  /** What befalls the next messages this side publishes, one after the other. */
  breakNext(...faults: MessageFault[]): void {
    this.#faults.push(...faults)
  }

  /** The connection for this direction is half open until it is replaced. */
  swallow(...directions: ChannelDirection[]): void {
    for (const direction of directions) this.#swallowed.add(direction)
  }

  /** Both connections are closed, and this side notices. */
  interrupt(): void {
    this.#loseConnection()
    this.#listener?.onDown()
  }

  /** Nothing can be connected until `resubscribe`. */
  goAway(): void {
    this.#outage = true
    this.interrupt()
  }

  /** Both connections are made anew, with a new subscription. */
  resubscribe(): void {
    this.#outage = false
    this.renew()
  }

  /** What arrives from now on stays in the socket, as while the process is stopped or a subscriber is slow. */
  holdIncoming(): void {
    this.#waiting ??= []
  }

  /** The socket is read, in an order that may differ from that of arrival. */
  releaseIncoming(reorder: (messages: string[]) => string[] = (messages) => messages): void {
    const waiting = this.#waiting ?? []
    this.#waiting = undefined
    for (const message of reorder(waiting)) this.deliver(message)
  }

  /** Called by the hub. */
  deliver(message: string): void {
    if (!this.#subscribed || this.#swallowed.has('down')) return
    if (this.#waiting) this.#waiting.push(message)
    else this.#listener?.onMessage(message)
  }

  #come(): void {
    this.#subscribed = true
    this.#listener?.onUp()
  }

  #loseConnection(): void {
    this.#subscribed = false
    this.#waiting = undefined
    for (const reject of this.#unanswered) reject(new Error('the connection was closed'))
    this.#unanswered.clear()
  }
}
