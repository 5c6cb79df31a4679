import type { Channel, ChannelListener } from '../../core/ports.js'
import { openConnection, type RedisClient, type RedisConnection, whenReady } from './connection.js'

/** The subscription methods of an ioredis connection. */
interface Subscriber extends RedisConnection {
  subscribe(channel: string): Promise<unknown>
  ssubscribe(channel: string): Promise<unknown>
}

/**
 * `Channel` over Redis pub/sub, on two connections of its own: one to publish, one to listen.
 *
 * On a cluster it is sharded pub/sub: publishers and subscribers of the channel meet on the one node that owns its slot, so that
 * hearing oneself proves that the others are heard too. Classic pub/sub is relayed between nodes and would not prove that.
 */
export class RedisChannel implements Channel {
  readonly #name: string
  readonly #sharded: boolean
  readonly #publisher: RedisConnection
  readonly #subscriber: Subscriber
  #closed = false

  constructor(options: { client: RedisClient; namespace: string }) {
    const { client, namespace } = options
    this.#name = `${client.options.keyPrefix ?? ''}${namespace}:bus`
    this.#sharded = client.isCluster
    this.#publisher = openConnection(client, `corral:${namespace}:publish`)
    const extra = this.#sharded ? { shardedSubscribers: true } : { autoResubscribe: false }
    this.#subscriber = openConnection(client, `corral:${namespace}:subscribe`, extra) as Subscriber
  }

  async publish(message: string): Promise<void> {
    await whenReady(this.#publisher)
    await this.#publisher.call(this.#sharded ? 'SPUBLISH' : 'PUBLISH', this.#name, message)
  }

  open(listener: ChannelListener): void {
    const subscriber = this.#subscriber
    const subscribe = async () => {
      try {
        await (this.#sharded ? subscriber.ssubscribe(this.#name) : subscriber.subscribe(this.#name))
        if (!this.#closed) listener.onUp()
      } catch {
        // The connection went away meanwhile. It reconnects, and its next `ready` tries again.
      }
    }
    subscriber.on(this.#sharded ? 'smessage' : 'message', (channel: string, message: string) => {
      if (channel === this.#name) listener.onMessage(message)
    })
    subscriber.on('ready', () => void subscribe())
    subscriber.on('close', () => listener.onDown())
    subscriber.on('end', () => listener.onDown())
    if (this.#sharded) this.#watchTopology(listener, subscribe)
    if (subscriber.status === 'ready') void subscribe()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#publisher.disconnect()
    this.#subscriber.disconnect()
  }

  /** The channel's slot may have moved to another node: what was published there meanwhile was not heard. */
  #watchTopology(listener: ChannelListener, subscribe: () => Promise<void>): void {
    const anew = () => {
      if (this.#closed) return
      listener.onDown()
      void subscribe()
    }
    this.#subscriber.on('+node', anew)
    this.#subscriber.on('-node', anew)
    this.#subscriber.on('-subscriber', anew)
  }
}
