import { CacheUnavailableError } from '../../core/errors.js'
import type { Channel, ChannelListener } from '../../core/ports.js'
import { keySlot } from '../../policy/slot-copies.js'
import { channelName } from './channel-name.js'
import { openConnection, type RedisClient, type RedisConnection, whenReady } from './connection.js'

/** The subscription methods of an ioredis connection to one node. */
interface Subscriber extends RedisConnection {
  subscribe(channel: string): Promise<unknown>
  ssubscribe(channel: string): Promise<unknown>
}

/** What is asked of an ioredis `Cluster` beyond what every connection has. */
interface ClusterConnection extends RedisConnection {
  nodes(
    role: 'all',
  ): readonly (RedisClient & { readonly options: { readonly host?: string; readonly port?: number } })[]
}

/**
 * SPUBLISH in a cluster. A replica would take the bare command and spread it by itself, in an order of its own; a script with a key it
 * passes on to the primary, and tells us so.
 */
const SPUBLISH = `return redis.call('SPUBLISH', KEYS[1], ARGV[1])`

/**
 * `Channel` over Redis pub/sub, with a connection of its own to listen.
 *
 * On one node it publishes through the connection that carries the fences: a process whose fences arrive is heard, too. A connection
 * of its own could break alone, and then the others would go on trusting what this process has long overwritten.
 *
 * On a cluster it is sharded pub/sub: publishers and subscribers of the channel meet on the one node that owns its slot, so that
 * hearing oneself proves that the others are heard too. Classic pub/sub is relayed between nodes and would not prove that. There
 * it publishes through a connection of its own, because fences go to other nodes anyway.
 * The listening connection leads to that node and moves when the slot does; ioredis' own sharded subscribers do not say when
 * they have subscribed anew, and that is when the listener must know.
 */
export class RedisChannel implements Channel {
  readonly #client: RedisClient
  readonly #namespace: string
  readonly #name: string
  readonly #slot: number
  #listener: ChannelListener | undefined
  readonly #lent: RedisConnection | undefined
  #publisher: RedisConnection
  #subscriber: Subscriber | undefined
  /** Cluster: the node the subscriber is connected to, `host:port`. */
  #owner: string | undefined
  #isUp = false
  #closed = false

  constructor(options: {
    client: RedisClient
    namespace: string
    /** The store's connection, which the store closes. Not used on a cluster. */
    publisher?: RedisConnection | undefined
  }) {
    this.#client = options.client
    this.#lent = options.client.isCluster ? undefined : options.publisher
    this.#namespace = options.namespace
    // A channel is no key: ioredis would prefix its name in some commands and not in others.
    this.#name = channelName(options.namespace, options.client.options)
    this.#slot = keySlot(this.#name)
    this.#publisher = this.#lent ?? this.#connect(this.#client, 'publish')
  }

  /** One connection, one server, one order. */
  get keepsOrder(): boolean {
    return this.#lent !== undefined
  }

  /** Like every operation of the store it waits for the connection and for nothing else, so that none is overtaken. */
  async publish(message: string): Promise<void> {
    const publisher = this.#publisher
    if (this.#closed) throw new CacheUnavailableError('publish', 'the channel is closed')
    await whenReady(publisher)
    if (publisher.isCluster) await publisher.call('eval', SPUBLISH, 1, this.#name, message)
    else await publisher.call('publish', this.#name, message)
  }

  open(listener: ChannelListener): void {
    this.#listener = listener
    this.#listen()
  }

  renew(): void {
    if (this.#closed) return
    this.#hangUp()
    if (this.#lent === undefined) {
      this.#publisher.disconnect()
      this.#publisher = this.#connect(this.#client, 'publish')
    }
    this.#listen()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#hangUp()
    if (this.#lent === undefined) this.#publisher.disconnect()
  }

  #listen(): void {
    const publisher = this.#publisher
    if (publisher.isCluster) {
      // Refreshed before the cluster is ready for the first time, and whenever a node says that a slot has moved.
      publisher.on('refresh', () => {
        if (publisher === this.#publisher && !this.#closed) this.#follow(publisher as ClusterConnection)
      })
    } else {
      this.#subscribe(this.#client)
    }
  }

  /** What was published on another node while the slot moved was not heard: subscribing anew says so. */
  #follow(cluster: ClusterConnection): void {
    const owner = cluster.slots?.[this.#slot]?.[0]
    if (owner === undefined || owner === this.#owner) return
    const node = cluster.nodes('all').find(({ options }) => `${options.host}:${options.port}` === owner)
    if (node === undefined) return
    this.#hangUp()
    this.#owner = owner
    this.#subscribe(node)
  }

  #subscribe(node: RedisClient): void {
    const isSharded = this.#client.isCluster
    const subscriber = this.#connect(node, 'subscribe') as Subscriber
    this.#subscriber = subscriber
    subscriber.on(isSharded ? 'smessage' : 'message', (_channel: string, message: string) => {
      if (subscriber === this.#subscriber) this.#listener?.onMessage(message)
    })
    subscriber.on('ready', async () => {
      try {
        const subscribed = isSharded ? subscriber.ssubscribe(this.#name) : subscriber.subscribe(this.#name)
        await Promise.all([subscribed, this.#untilPublisherIsReady()])
      } catch {
        // The connection went away, the slot has moved, or this user may not subscribe. Whoever listens hears nothing meanwhile.
        return
      }
      if (subscriber === this.#subscriber) this.#up()
    })
    subscriber.on('close', () => {
      if (subscriber === this.#subscriber) this.#down()
    })
  }

  /** Of use is a subscription only with a way to publish. A cluster connects to a node when it is first asked, and out of order. */
  async #untilPublisherIsReady(): Promise<void> {
    const publisher = this.#publisher
    await whenReady(publisher)
    if (publisher.isCluster) await publisher.call('exists', this.#name)
  }

  #connect(client: RedisClient, purpose: 'publish' | 'subscribe'): RedisConnection {
    return openConnection(client, `corral:${this.#namespace}:${purpose}`, { keyPrefix: '', autoResubscribe: false })
  }

  #hangUp(): void {
    const subscriber = this.#subscriber
    this.#subscriber = undefined
    this.#owner = undefined
    subscriber?.disconnect()
    this.#down()
  }

  #up(): void {
    this.#isUp = true
    this.#listener?.onUp()
  }

  #down(): void {
    if (!this.#isUp) return
    this.#isUp = false
    this.#listener?.onDown()
  }
}
