import type { Channel, ChannelListener } from '../../src/core/ports.js'
import type { Host } from './host.js'
import type { Scheduler } from './scheduler.js'
import { type Latency, Wire } from './wire.js'

/** What befalls one message on its way to one subscriber. */
export type MessageFault = 'lost' | 'twice' | 'overtaken'

/** Redis' pub/sub: who is subscribed when a message arrives gets it. */
export class BusHub {
  readonly channels = new Set<BusChannel>()
}

/** How long a message is late that others overtake. */
const OVERTAKEN_MS = 30

/** `Channel` as one process has it: a connection to publish on, and one to hear on. */
export class BusChannel implements Channel {
  readonly keepsOrder = false
  readonly #scheduler: Scheduler
  readonly #host: Host
  readonly #hub: BusHub
  readonly #up: Wire
  readonly #down: Wire
  readonly #faultOf: () => MessageFault | undefined
  readonly #resubscribeMs: number
  #listener: ChannelListener | undefined
  #isSubscribed = false
  /** Both connections are half open: nothing passes, and nobody says so. */
  #isDeaf = false
  #subscription = 0

  constructor(options: {
    scheduler: Scheduler
    host: Host
    hub: BusHub
    latency: Latency
    /** How long it takes to subscribe, at most. */
    resubscribeMs: number
    /** Asked for each message that is about to be delivered here. */
    faultOf: () => MessageFault | undefined
  }) {
    this.#scheduler = options.scheduler
    this.#host = options.host
    this.#hub = options.hub
    this.#up = new Wire(options.scheduler, options.latency)
    this.#down = new Wire(options.scheduler, options.latency)
    this.#faultOf = options.faultOf
    this.#resubscribeMs = options.resubscribeMs
  }

  publish(message: string): Promise<void> {
    if (this.#listener === undefined) return Promise.reject(new Error('not connected'))
    return new Promise((resolve) => {
      if (this.#isDeaf) return
      this.#up.send(() => {
        for (const channel of this.#hub.channels) channel.#deliver(message)
        this.#scheduler.after(this.#scheduler.between(0, 1), () => this.#host.receive(resolve))
      })
    })
  }

  open(listener: ChannelListener): void {
    this.#listener = listener
    this.#hub.channels.add(this)
    this.#subscribe()
  }

  renew(): void {
    this.#loseConnections()
    this.#listener?.onDown()
    this.#isDeaf = false
    this.#subscribe()
  }

  async close(): Promise<void> {
    this.#loseConnections()
    this.#hub.channels.delete(this)
    this.#listener = undefined
  }

  /** The connections are closed, and the process is told; it subscribes anew by itself. */
  reset(): void {
    this.#loseConnections()
    this.#scheduler.after(this.#scheduler.between(0, 3), () =>
      this.#host.receive(() => {
        this.#listener?.onDown()
        this.#subscribe()
      }),
    )
  }

  /** From now on nothing passes in either direction until the process replaces its connections. */
  deafen(): void {
    this.#isDeaf = true
    this.#up.cut(() => undefined)
    this.#down.cut(() => undefined)
  }

  /** The process is gone. What it has sent goes on its way. */
  die(): void {
    this.#hub.channels.delete(this)
  }

  stall(ms: number): void {
    this.#up.stall(ms)
    this.#down.stall(ms)
  }

  #deliver(message: string): void {
    if (!this.#isSubscribed || this.#isDeaf) return
    const subscription = this.#subscription
    const arrive = () =>
      this.#host.receive(() => {
        if (subscription === this.#subscription) this.#listener?.onMessage(message)
      }, this)
    const fault = this.#faultOf()
    if (fault === 'lost') return
    if (fault === 'overtaken') this.#down.sendAside(arrive, this.#scheduler.between(1, OVERTAKEN_MS))
    else this.#down.send(arrive)
    if (fault === 'twice') this.#down.send(arrive)
  }

  #subscribe(): void {
    const subscription = ++this.#subscription
    this.#scheduler.after(this.#scheduler.between(0.2, this.#resubscribeMs), () => {
      if (this.#listener === undefined || subscription !== this.#subscription) return
      this.#isSubscribed = true
      this.#host.receive(() => {
        if (subscription === this.#subscription) this.#listener?.onUp()
      }, this)
    })
  }

  #loseConnections(): void {
    this.#subscription++
    this.#isSubscribed = false
    this.#up.cut(() => undefined)
    this.#down.cut(() => undefined)
  }
}
