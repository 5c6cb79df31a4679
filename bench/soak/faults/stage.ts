import { setTimeout as sleep } from 'node:timers/promises'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { type Chance, machineMs } from '../../../src/core/clock.js'
import type { PostgresServer, PostgresStandby } from '../../../test/support/servers/postgres.js'
import { startPostgres } from '../../../test/support/servers/postgres.js'
import { waitUntil } from '../../../test/support/servers/wait.js'
import { seededChance } from '../../simulator/seeded-chance.js'
import type { Ablation } from './ablation.js'
import { Actor } from './actor.js'
import type { ActorChoice, ActorWord, Pace } from './actor-talk.js'
import { type CacheServers, openCacheServers } from './cache-servers.js'
import { Ledger } from './ledger.js'
import { makeShop, ROWS, type Shop } from './shop.js'

export interface StageOptions {
  readonly kind: 'corral' | 'by-hand'
  readonly cluster: boolean
  readonly without: readonly Ablation[]
  readonly seed: number
}

/** A time in which a cache may show less than was acknowledged: one of its servers has lost what it was told. */
export interface FailoverWindow {
  readonly what: string
  readonly startedMs: number
  /** From then on every process talks to the servers that are right. */
  healedMs: number
}

const USUAL: Pace = { readsPerSecond: 40, writesPerSecond: 4 }
const NAMESPACE = 'faults'
const HOUR_MS = 3_600_000

/** Servers of the run's own, processes over them, and what faults need to get at both. */
export class Stage {
  readonly ledger = new Ledger()
  readonly windows: FailoverWindow[] = []
  readonly chance: Chance
  readonly postgres: PostgresServer
  readonly standby: PostgresStandby
  readonly cache: CacheServers
  /** Not by way of anything that can fail. */
  readonly db: Kysely<Shop>
  actors: Actor[] = []
  relays: Actor[] = []

  private constructor(parts: Pick<Stage, 'postgres' | 'standby' | 'cache' | 'db' | 'chance'>) {
    this.postgres = parts.postgres
    this.standby = parts.standby
    this.cache = parts.cache
    this.db = parts.db
    this.chance = parts.chance
  }

  static async open(options: StageOptions): Promise<Stage> {
    const postgres = await startPostgres({
      own: true,
      settings: { track_commit_timestamp: 'on', wal_receiver_timeout: '2s', wal_sender_timeout: '2s' },
    })
    const db = openDirectly(postgres.url)
    await makeShop(db)
    const standby = await postgres.makeStandby({ settings: { hot_standby_feedback: 'on' } })
    const cache = await openCacheServers(options.cluster)
    const stage = new Stage({ postgres, standby, cache, db, chance: seededChance(options.seed) })
    await stage.#startActors(options)
    return stage
  }

  /** Everybody reads and writes `times` as much as usual. */
  async pace(times: number): Promise<void> {
    const pace = { readsPerSecond: USUAL.readsPerSecond * times, writesPerSecond: USUAL.writesPerSecond * times }
    await Promise.all(this.actors.map((actor) => actor.pace(pace).catch(() => {})))
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[Math.floor(this.chance.number() * items.length)] as Item
  }

  between(least: number, most: number): number {
    return least + this.chance.number() * (most - least)
  }

  /** SQL by somebody who knows of no cache. It is in the trail under a name of its own, with the time at which it was certain. */
  async outside(...statements: string[]): Promise<void> {
    const name = `outside ${this.chance.token()}`
    const client = new pg.Client({ connectionString: this.postgres.url, application_name: name })
    client.on('error', () => {})
    await client.connect()
    try {
      for (const statement of statements) await client.query(statement)
      this.ledger.certain(name, machineMs())
    } finally {
      await client.end().catch(() => {})
    }
  }

  /**
   * Ends the traffic, waits until all is settled, and compares what every place holds with the database. Last of all somebody from outside writes
   * rows that are cached: they live longer than the wait, so nothing but the relay takes them away.
   */
  async settle(): Promise<void> {
    await this.outside(`update products set stock = stock + 1 where id <= ${ROWS / 4}`)
    await Promise.all(this.actors.map((actor) => actor.ask('rest')))
    await sleep(8_000)
    for (const actor of this.actors) this.ledger.rests(await actor.ask('memoryAtRest'))
    const [any] = this.actors as [Actor]
    this.ledger.rests(await any.ask('cacheAtRest'))
    await Promise.all([...this.actors, ...this.relays].map((actor) => actor.ask('close')))
    await this.ledger.readTrail(this.db)
  }

  async close(): Promise<void> {
    await Promise.all([...this.actors, ...this.relays].map((actor) => actor.end()))
    await this.db.destroy().catch(() => {})
    await this.standby.stop()
    await Promise.all([this.postgres.stop(), this.cache.stop()])
  }

  /** The relay leads, and follows what is written. */
  async untilRelayed(): Promise<void> {
    await waitUntil('a relay leads', 20_000, async () => {
      const roles = await Promise.all(this.relays.map((relay) => relay.ask('role')))
      return roles.includes('leader')
    })
  }

  async #startActors({ kind, without, seed }: StageOptions): Promise<void> {
    const replicaUrl = new URL(this.postgres.url)
    replicaUrl.port = String(this.standby.port)
    const common = {
      ...{ namespace: NAMESPACE, postgresUrl: this.postgres.url, redis: this.cache.place, without },
      ...({ kind, l1: true, onWrite: 'drop', replicaUrl: undefined, clockShiftMs: 0 } as const),
    }
    const choices: Omit<ActorChoice, 'name' | 'seed'>[] = [
      common,
      { ...common, replicaUrl: kind === 'corral' ? replicaUrl.href : undefined, clockShiftMs: HOUR_MS },
      { ...common, l1: false, clockShiftMs: -60_000 },
      { ...common, onWrite: 'publish', clockShiftMs: 60_000 },
    ]
    const hear = (word: ActorWord, from: Actor) => this.#hear(word, from)
    this.actors = await Promise.all(
      choices.map((choice, at) => Actor.start(`web-${at + 1}`, { ...choice, seed: seed * 100 + at }, hear)),
    )
    if (kind === 'by-hand' || without.includes('relay')) return
    const relay = { ...common, kind: 'relay', l1: false } as const
    this.relays = await Promise.all(
      [1, 2].map((at) => Actor.start(`relay-${at}`, { ...relay, seed: seed * 100 + 50 + at }, hear)),
    )
    await this.untilRelayed()
  }

  #hear(word: ActorWord, from: Actor): void {
    if ('records' in word) {
      this.ledger.hear(word, from.role)
    } else {
      const next = this.pick(this.actors.filter((actor) => actor !== from))
      next.ask('follow', word.session, word.token, word.id).catch(() => {})
    }
  }
}

function openDirectly(connectionString: string): Kysely<Shop> {
  const pool = new pg.Pool({ connectionString, max: 4, application_name: 'stage' })
  pool.on('error', () => {})
  pool.on('connect', (client) => client.on('error', () => {}))
  return new Kysely<Shop>({ dialect: new PostgresDialect({ pool }) })
}
