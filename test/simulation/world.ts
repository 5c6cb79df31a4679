import { isCorralError } from '../../src/core/errors.js'
import type { CorralEvent } from '../../src/core/events.js'
import { checkHistory, type HistoryReport } from '../../src/testing/check-history.js'
import { History } from '../../src/testing/history.js'
import { findStoredCopies } from '../../src/testing/stored-copies.js'
import type { Violation } from '../../src/testing/violation.js'
import { seededChance } from '../support/seeded-chance.js'
import { BusChannel, BusHub } from './bus.js'
import { Client, skuOf } from './clients.js'
import { Host } from './host.js'
import { Database } from './postgres/database.js'
import { kyselyOver } from './postgres/dialect.js'
import { isVisible, parseSnapshot } from './postgres/snapshot.js'
import { type Shop, ShopProcess } from './process.js'
import { PROFILES, type Profile, type ProfileName, profileOf } from './profile.js'
import { type Arrival, RedisConnection } from './redis/connection.js'
import { scannable } from './redis/scannable.js'
import { RedisServers } from './redis/servers.js'
import { Scheduler } from './scheduler.js'
import { Weather } from './weather.js'
import { WitnessLog } from './witnesses.js'

/** How long a run lasts in which things go wrong, and how long it then has to come to rest. */
const STORM_MS = 450
const CALM_MS = 6_000
/** How long nothing may be left to do before a run is at rest: messages that were lost are noticed within this time. */
const QUIET_MS = 450
/** Answers from memory lag behind others' writes for as long as messages are trusted to arrive, and for the time they take. */
const MEMORY_LAG_IN_TRUST = 3

export interface Run {
  readonly seed: number
  readonly profile: ProfileName
  readonly report: HistoryReport
  /** Promises that were not kept. */
  readonly violations: readonly Violation[]
  /** What is wrong beyond what the history shows: a bug of the simulator, a read that failed because of the cache. */
  readonly faults: readonly string[]
  readonly story: readonly string[]
  /** Races that took place: see witnesses.ts. */
  readonly witnesses: readonly string[]
  readonly events: number
}

/** From a failover to the end of the replay, what was acknowledged before may be missed. */
interface Doubt {
  readonly shard: string
  readonly fromMs: number
  untilMs: number
}

/** Runs one seed from beginning to end. The same seed gives the same run, on every machine. */
export async function simulate(seed: number, options: { readonly tells?: boolean } = {}): Promise<Run> {
  const world = new World(seed, options.tells ?? false)
  return world.run()
}

class World {
  readonly #seed: number
  readonly #profileName: ProfileName
  readonly #profile: Profile
  readonly #tells: boolean
  readonly #scheduler: Scheduler
  readonly #history = new History()
  readonly #database: Database
  readonly #servers: RedisServers
  readonly #hub = new BusHub()
  readonly #weather: Weather
  readonly #witnesses: WitnessLog
  readonly #processes: ShopProcess[] = []
  readonly #replica = { commit: 0 }
  readonly #story: string[] = []
  readonly #faults: string[] = []
  readonly #doubts: Doubt[] = []
  #chances = 0

  constructor(seed: number, tells: boolean) {
    this.#seed = seed
    this.#tells = tells
    this.#profileName = profileOf(seed)
    this.#profile = PROFILES[this.#profileName]
    this.#scheduler = new Scheduler(this.#chance())
    const scheduler = this.#scheduler
    this.#witnesses = new WitnessLog(() => scheduler.nowMs)
    this.#database = new Database({
      nowMs: () => scheduler.nowMs,
      onCommit: (changes, { by }) => {
        const left = changes.map(({ id, ...change }) => ({ key: `shop:{public.products/${id}}`, ...change }))
        this.#witnesses.committed(by, left)
        for (const { id, version, absent } of changes) {
          const atMs = scheduler.nowMs
          this.#tell('database', `commits ${id} as ${absent ? 'gone, ' : ''}${version}`)
          this.#history.write({
            ...{ process: 'database', key: `products/${id}`, startedMs: atMs, endedMs: atMs },
            ...{ version, absent, outcome: 'outside' },
          })
        }
        const { commits } = this.#database
        scheduler.after(scheduler.between(0, this.#profile.standbyLagMs), () => {
          this.#replica.commit = Math.max(this.#replica.commit, commits)
        })
      },
    })
    const serverClock = new Host(scheduler, 'redis', 0).clock
    this.#servers = new RedisServers(serverClock, this.#profile.shards)
    this.#weather = new Weather({
      ...{ profile: this.#profile, scheduler, servers: this.#servers, database: this.#database },
      processes: () => this.#living,
      tell: this.#tell,
      witnesses: this.#witnesses,
      onFailover: (shard) =>
        void this.#doubts.push({ shard, fromMs: scheduler.nowMs, untilMs: Number.POSITIVE_INFINITY }),
      onIsolationEnd: (shard) => this.#endDoubts(shard),
    })
  }

  async run(): Promise<Run> {
    const { clients, processes, startsLate = false, stormMs = STORM_MS } = this.#profile
    await this.#stock()
    const scheduler = this.#scheduler
    const lateMs = startsLate ? scheduler.between(0, stormMs / 2) : 0
    for (let nth = 0; nth < processes; nth++) {
      if (nth === processes - 1) scheduler.after(lateMs, () => this.#start(nth))
      else this.#start(nth)
    }
    const users = Array.from({ length: clients }, (_, nth) => this.#client(nth, lateMs))
    for (const user of users) void user.run()
    this.#weather.begin(stormMs * 0.9)
    await scheduler.run(stormMs)
    this.#weather.end()
    await this.#untilQuiet(users)
    await this.#lookAtRest()
    return this.#result()
  }

  /** Until nothing is under way and nothing pending, and some time beyond. */
  async #untilQuiet(users: readonly Client[]): Promise<void> {
    const isBusy = () =>
      users.some((user) => !user.hasEnded && !user.isAlone) ||
      this.#living.some(({ corral }) => corral.stats().pendingFences > 0) ||
      !this.#isRelayed ||
      this.#scheduler.nowMs < this.#weather.doubtfulUntilMs
    const endMs = this.#scheduler.nowMs + CALM_MS
    for (let untilMs = this.#scheduler.nowMs; isBusy() && untilMs < endMs; untilMs += 50) {
      await this.#scheduler.run(untilMs)
    }
    await this.#scheduler.run(this.#scheduler.nowMs + QUIET_MS)
  }

  /** The relay has carried every change, to every server. */
  get #isRelayed(): boolean {
    if (this.#profile.relays === 0) return true
    const settled = this.#database.positions.at(-1)?.position
    const upto = settled === undefined ? undefined : parseSnapshot(settled)
    return upto !== undefined && this.#database.outbox.every(({ xid }) => isVisible(xid, upto))
  }

  get #living(): readonly ShopProcess[] {
    return this.#processes.filter(({ host }) => !host.isDead)
  }

  /** A source of chance of its own for each who draws, so that one more draw of one does not change all others. */
  #chance() {
    return seededChance(Math.imul(this.#seed + 1, 0x9e3779b1) + Math.imul(++this.#chances, 0x85ebca6b))
  }

  readonly #tell = (who: string, what: string): void => {
    if (this.#tells) this.#story.push(`${this.#scheduler.nowMs.toFixed(2).padStart(9)}  ${who}: ${what}`)
  }

  /** The rows there are to begin with: every other one, and the first. */
  async #stock(): Promise<void> {
    for (let id = 1; id <= this.#profile.ids; id += 2) {
      const tx = this.#database.begin()
      await this.#database.insert(tx, id, skuOf(id), id)
      this.#database.commit(tx)
    }
  }

  #start(nth: number): void {
    const scheduler = this.#scheduler
    const { latency, repository } = this.#profile
    const name = `p${nth + 1}`
    const host = new Host(scheduler, name, scheduler.between(-60_000, 60_000))
    const chance = this.#chance()
    const redis = new RedisConnection({
      ...{ scheduler, host, servers: this.#servers, latency: latency.redis },
      clockErrorMs: scheduler.between(-10, 2),
      onArrival: (arrival) => this.#arrived(arrival),
      faultOf: () => this.#weather.commandFault(),
    })
    const bus = new BusChannel({
      ...{ scheduler, host, hub: this.#hub, latency: latency.bus },
      faultOf: () => this.#weather.messageFault(),
    })
    const database = this.#database
    const onBug = (error: unknown) => void this.#faults.push(`bug of the simulator: ${String(error)}`)
    const isAltered = this.#profile.releases === 2 && nth % 2 === 1
    const common = { scheduler, database, host, latency: latency.postgres, onBug, isAltered }
    const postgres = kyselyOver<Shop>({
      ...common,
      faultOf: (sql) => this.#weather.statementFault(sql),
      onLoad: (ids) => this.#loads(name, ids),
    })
    const replica = repository.loadFrom
      ? kyselyOver<Shop>({ ...common, replica: this.#replica, faultOf: () => undefined }).db
      : undefined
    this.#processes.push(
      new ShopProcess({
        ...{ nth, host, redis, bus, postgres, replica, profile: this.#profile, history: this.#history },
        chance: { number: chance.number, token: tokensOf(name) },
        onEvent: (event) => this.#happened(name, event),
      }),
    )
  }

  #client(nth: number, lateMs: number): Client {
    const home = nth % this.#profile.processes
    return new Client({
      ...{ name: `c${nth + 1}`, profile: this.#profile, scheduler: this.#scheduler, history: this.#history },
      processes: () => this.#living,
      home: () => this.#processes[home] as ShopProcess,
      startsAtMs: home === this.#profile.processes - 1 ? lateMs : 0,
      tell: this.#tell,
      onRollback: () => this.#witnesses.note('A5 a transaction thought better of it'),
      onFailedRead: (error) => void this.#faults.push(`a read failed: ${String(error)}`),
    })
  }

  /** Where nothing is written and nothing fails, each load is held against all others. */
  #loads(process: string, ids: readonly string[]): () => void {
    const startedMs = this.#scheduler.nowMs
    for (const id of ids) this.#witnesses.loads(process, `shop:{public.products/${id}}`)
    return () => {
      if (!this.#profile.countsLoads) return
      const times = { startedMs, endedMs: this.#scheduler.nowMs }
      for (const id of ids) this.#history.load({ process, key: `products/${id}`, ...times })
    }
  }

  #arrived(arrival: Arrival): void {
    const { by, operation, key, reply } = arrival
    this.#weather.arrived(arrival)
    this.#witnesses.arrived(arrival)
    if (this.#tells) {
      this.#tell('cache', `${operation} ${key} for ${by}: ${saidOf(reply)}`)
    }
  }

  #happened(name: string, event: CorralEvent): void {
    this.#witnesses.happened(event)
    if (event.type === 'relay.shard' && event.standing === 'current') this.#endDoubts(event.shard)
    if (this.#tells && !QUIET.has(event.type)) this.#tell(name, eventOf(event))
    const isBug = event.type === 'background.failed' && !isCorralError(event.error)
    if (isBug) this.#faults.push(`background ${event.task} failed: ${String(event.error)}`)
  }

  /** Everything that may still be served, held against the database. */
  async #lookAtRest(): Promise<void> {
    const { commits } = this.#database
    const stored = (id: number) => this.#database.find(id, commits)?.corral_version ?? null
    for (const server of this.#servers.primaries) {
      const { copies } = await findStoredCopies(scannable(server), 'shop')
      for (const { kind, id, isCopy, entry, redisKey } of copies) {
        if (kind !== 'row') continue
        const place = isCopy ? 'redis copy' : 'redis'
        const version = entry.kind === 'absent' ? null : (entry.version ?? versionSaidIn(entry.payload))
        this.#history.rest({ place, key: redisKey, version, stored: stored(Number(id[0])) })
      }
    }
    for (const { host, products } of this.#living) {
      for (let id = 1; id <= this.#profile.ids; id++) {
        const row = products.peek(id)
        if (row === undefined) continue
        const place = `memory of ${host.name}`
        this.#history.rest({ place, key: `products/${id}`, version: row.corral_version, stored: stored(id) })
      }
    }
  }

  /** Everything acknowledged before has been fenced again, or nobody asks the wrong server any more. */
  #endDoubts(shard: string): void {
    if (this.#living.some(({ redis }) => redis.isolatedFrom.has(shard))) return
    for (const doubt of this.#doubts) {
      if (doubt.shard === shard) doubt.untilMs = Math.min(doubt.untilMs, this.#scheduler.nowMs)
    }
  }

  /** What is promised of everything but a cache that has forgotten fences and has not been told them again. */
  #isPromised(violation: Violation): boolean {
    if (this.#profile.unpromised?.includes(violation.check)) return false
    if (violation.check !== 'acknowledged') return true
    const { startedMs } = violation.read
    return !this.#doubts.some(({ fromMs, untilMs }) => startedMs >= fromMs && startedMs < untilMs + this.#memoryLagMs)
  }

  get #memoryLagMs(): number {
    return MEMORY_LAG_IN_TRUST * (this.#profile.options.bus?.trustMs ?? 0)
  }

  #result(): Run {
    const { ttl } = this.#profile.options
    const report = checkHistory(
      {
        reads: this.#history.reads,
        // Every commit is on record, so nothing is left unknown.
        writes: this.#history.writes.filter(({ version }) => version !== null),
        loads: this.#history.loads,
        atRest: this.#history.atRest,
      },
      {
        allWritesAreRecorded: true,
        memoryLagMs: this.#memoryLagMs,
        maxExamples: Number.POSITIVE_INFINITY,
        ...(ttl?.freshMs === undefined ? {} : { freshMs: ttl.freshMs }),
      },
    )
    if (this.#profile.countsLoads && report.loads.mostAtOnce > 1) {
      this.#faults.push(`${report.loads.mostAtOnce} loads of one row at once in the fleet`)
    }
    return {
      ...{ seed: this.#seed, profile: this.#profileName, report, faults: this.#faults, story: this.#story },
      violations: report.violations.filter((violation) => this.#isPromised(violation)),
      witnesses: this.#witnesses.seen,
      events: this.#scheduler.steps,
    }
  }
}

/** Said so often that a story would drown in them. */
const QUIET: ReadonlySet<CorralEvent['type']> = new Set(['relay.beat', 'started', 'durability', 'coalesced'])

/** Of an entry without a stamp: what its row says of itself. */
function versionSaidIn(payload: Uint8Array): string | null {
  return /products\/\d+ (\d+)/.exec(Buffer.from(payload).toString('latin1'))?.[1] ?? null
}

function tokensOf(name: string): () => string {
  let tokens = 0
  return () => `${name}-${++tokens}`
}

function eventOf(event: CorralEvent): string {
  const { type, ...rest } = event
  const told = Object.entries(rest).map(([name, value]) => `${name} ${value instanceof Error ? value.message : value}`)
  return [type, ...told].join(' ')
}

function saidOf(reply: unknown): string {
  if (reply === null) return 'nothing'
  if (reply instanceof Uint8Array) return Buffer.from(reply).toString('latin1', 0, 60)
  return typeof reply === 'object'
    ? JSON.stringify(reply, (key, value) => (key === 'bytes' ? 'bytes' : value))
    : String(reply)
}
