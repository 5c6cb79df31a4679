import type { Generated, Kysely } from 'kysely'
import { type Corral, createWithSeams } from '../../src/client.js'
import type { Chance } from '../../src/core/clock.js'
import type { CorralEvent } from '../../src/core/events.js'
import type { History } from '../../src/testing/history.js'
import { Observer } from '../../src/testing/observer.js'
import type { WatchedTable } from '../../src/testing/watched-table.js'
import type { BusChannel } from './bus.js'
import type { Host } from './host.js'
import type { Profile } from './profile.js'
import type { RedisConnection } from './redis/connection.js'

export interface Shop {
  products: {
    id: number
    sku: string
    price: number
    corral_version: Generated<string>
    says: Generated<string>
  }
}

/** A row names its key and stamp once more: shows one under another's label. */
export const WATCHED: WatchedTable = {
  name: 'products',
  key: 'id',
  says: (row) => {
    const [key = '', version = ''] = (row as { says: string }).says.split(' ')
    return { key, version }
  },
}

/** One process of the fleet: the SDK as it is shipped, on a simulated host. */
export class ShopProcess {
  readonly host: Host
  readonly redis: RedisConnection
  readonly bus: BusChannel
  readonly corral: Corral<Shop>
  readonly observer: Observer
  readonly products: ReturnType<ShopProcess['open']>
  readonly events: CorralEvent[] = []
  readonly #hangUp: () => void
  readonly #profile: Profile

  constructor(options: {
    nth: number
    host: Host
    redis: RedisConnection
    bus: BusChannel
    postgres: { readonly db: Kysely<Shop>; readonly hangUp: () => void }
    replica: Kysely<Shop> | undefined
    profile: Profile
    chance: Chance
    history: History
    onEvent: (event: CorralEvent) => void
  }) {
    const { host, redis, bus, postgres, replica, profile, chance, history } = options
    this.host = host
    this.redis = redis
    this.bus = bus
    this.#hangUp = postgres.hangUp
    this.#profile = profile
    this.observer = new Observer({
      process: host.name,
      history,
      nowMs: () => host.clock.monotonicMs(),
      followsReads: false,
    })
    this.corral = createWithSeams<Shop>(
      {
        ...profile.options,
        db: postgres.db,
        namespace: 'shop',
        telemetry: false,
        ...(profile.repository.loadFrom ? { replica: replica ? { db: replica } : {} } : {}),
        relay: options.nth < profile.relays ? (profile.options.relay ?? true) : false,
        onEvent: (event) => {
          this.observer.onEvent(event)
          options.onEvent(event)
        },
      },
      { clock: host.clock, chance, store: redis, channel: bus },
    )
    this.products = this.open()
  }

  /** Gone, with whatever it had in hand. */
  die(): void {
    this.host.die()
    this.bus.die()
    this.#hangUp()
  }

  private open() {
    const { version, onWrite, loadFrom, copies, bySku = false } = this.#profile.repository
    const repository = this.corral.repository('products', {
      key: 'id',
      unique: bySku ? ['sku'] : [],
      ...(version === false ? { version } : {}),
      ...(onWrite ? { onWrite } : {}),
      ...(loadFrom ? { loadFrom } : {}),
      ...(copies ? { hotKeys: { copies } } : {}),
    })
    return this.observer.watch(repository, WATCHED)
  }
}
