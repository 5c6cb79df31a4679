import { isCorralError } from '../../src/core/errors.js'
import type { CorralEvent } from '../../src/core/events.js'
import { checkHistory, type HistoryReport } from '../../src/testing/check-history.js'
import { History } from '../../src/testing/history.js'
import type { Violation } from '../../src/testing/violation.js'
import { seededChance } from '../support/seeded-chance.js'
import { BusChannel, BusHub } from './bus.js'
import { Client, skuOf } from './clients.js'
import { Doubts } from './doubts.js'
import { Host } from './host.js'
import { Database } from './postgres/database.js'
import { kyselyOver } from './postgres/dialect.js'
import { isVisible, parseSnapshot } from './postgres/snapshot.js'
import { type Shop, ShopProcess } from './process.js'
import type { Profile } from './profile.js'
import { PROFILES, type ProfileName, profileOf } from './profiles.js'
import { type Arrival, RedisConnection } from './redis/connection.js'
import { RedisServers } from './redis/servers.js'
import { lookAtRest } from './rest.js'
import { Scheduler } from './scheduler.js'
import { setBack } from './set-back.js'
import { Weather } from './weather.js'
import { WitnessLog } from './witnesses.js'

/** How long a run lasts in which things go wrong, and how long it then has to come to rest. */
const STORM_MS = 350
const CALM_MS = 6_000
/** How long nothing may be left to do before a run is at rest: messages that were lost are noticed within this time. */
const QUIET_MS = 450
/** How far behind a former primary may follow. */
const FORMER_LAG_MS = 450
const RESUBSCRIBE_MS = 10

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
  readonly #doubts: Doubts
  #chances = 0

  constructor(seed: number, tells: boolean) {
    this.#seed = seed
    this.#tells = tells
    this.#profileName = profileOf(seed)
    this.#profile = PROFILES[this.#profileName]
    this.#doubts = new Doubts(this.#profile)
    this.#scheduler = new Scheduler(this.#chance())
    const scheduler = this.#scheduler
    const { touched = 0 } = this.#profile.repository
    this.#witnesses = new WitnessLog(() => scheduler.nowMs)
    this.#database = new Database({
      nowMs: () => scheduler.nowMs,
      isTouched: () => touched > 0 && scheduler.happens(touched),
      onCommit: (changes, { by }) => {
        const left = changes.map(({ id, ...change }) => ({ key: `shop:{public.products/${id}}`, ...change }))
        this.#witnesses.committed(by, left)
        this.#weather.committed(by)
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
    const { shards, faults } = this.#profile
    const { redisFailover = 0, formerFollows = 0 } = faults
    const formerLagMs = () =>
      formerFollows > 0 && scheduler.happens(formerFollows) ? scheduler.between(0, FORMER_LAG_MS) : undefined
    this.#servers = new RedisServers(serverClock, shards, redisFailover > 0, formerLagMs)
    this.#weather = new Weather({
      ...{ profile: this.#profile, scheduler, servers: this.#servers, database: this.#database },
      processes: () => this.#living,
      tell: this.#tell,
      witnesses: this.#witnesses,
      onFailover: (shard) => this.#doubts.begin(shard, scheduler.nowMs),
      onIsolationEnd: (shard) => this.#endDoubts(shard),
    })
  }

  async run(): Promise<Run> {
    const { clients, processes, startLate = 0, warmMs = 0, stormMs = STORM_MS, ids } = this.#profile
    await this.#stock()
    const scheduler = this.#scheduler
    const startsAtMs = Array.from({ length: processes }, (_, nth) =>
      nth < processes - startLate ? 0 : scheduler.between(0, stormMs / 2),
    )
    for (const [nth, atMs] of startsAtMs.entries()) {
      if (atMs === 0) this.#start(nth)
      else scheduler.after(atMs, () => this.#start(nth))
    }
    const users = Array.from({ length: clients }, (_, nth) => this.#client(nth, startsAtMs))
    for (const user of users) void user.run()
    scheduler.after(warmMs, () => this.#weather.begin(stormMs * 0.9))
    await scheduler.run(warmMs + stormMs)
    this.#weather.end()
    await this.#untilQuiet(users)
    await lookAtRest({
      ...{ ids, database: this.#database, servers: this.#servers, processes: this.#living },
      history: this.#history,
    })
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
    // What others had begun by SQL may be committed when all seems quiet, and is the relay's to carry then.
    do {
      for (let untilMs = this.#scheduler.nowMs; isBusy() && untilMs < endMs; untilMs += 50) {
        await this.#scheduler.run(untilMs)
      }
      await this.#scheduler.run(this.#scheduler.nowMs + QUIET_MS)
    } while (isBusy() && this.#scheduler.nowMs < endMs)
  }

  /** The relay has carried every change, to every server. */
  get #isRelayed(): boolean {
    if (this.#profile.relays === 0) return true
    const settled = this.#database.positions.findLast(({ beganMs }) => Number.isFinite(beganMs))?.position
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

  /** The rows there are to begin with: every other one, and the first. Nobody has been told anything older. */
  async #stock(): Promise<void> {
    for (let id = 1; id <= this.#profile.ids; id += 2) {
      const tx = this.#database.begin()
      const { corral_version: version } = await this.#database.insert(tx, id, skuOf(id), id)
      this.#database.commit(tx)
      const state = { key: `products/${id}`, version, absent: false, outcome: 'fenced' } as const
      this.#history.write({ process: 'database', startedMs: 0, endedMs: 0, ...state })
    }
  }

  #start(nth: number): void {
    const scheduler = this.#scheduler
    const { latency, repository, resubscribeMs = RESUBSCRIBE_MS } = this.#profile
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
      ...{ scheduler, host, hub: this.#hub, latency: latency.bus, resubscribeMs },
      faultOf: () => this.#weather.messageFault(),
    })
    const database = this.#database
    const onBug = (error: unknown) => void this.#faults.push(`bug of the simulator: ${String(error)}`)
    const isAltered = this.#profile.releases === 2 && nth % 2 === 1
    const latencies = { latency: latency.postgres, loadLatency: latency.load }
    const common = { scheduler, database, host, ...latencies, onBug, isAltered }
    const postgres = kyselyOver<Shop>({
      ...common,
      faultOf: (sql) => this.#weather.statementFault(sql),
      onLoad: (ids) => this.#loads(name, ids),
    })
    const replica = repository.loadFrom
      ? kyselyOver<Shop>({
          ...{ ...common, replica: this.#replica, faultOf: () => undefined },
          onLoad: () => () => this.#weather.loadedFromStandby(redis),
        }).db
      : undefined
    this.#processes[nth] = new ShopProcess({
      ...{ nth, host, redis, bus, postgres, replica, profile: this.#profile, history: this.#history },
      chance: { number: chance.number, token: tokensOf(name) },
      onEvent: (event) => this.#happened(name, event),
    })
  }

  #client(nth: number, startsAtMs: readonly number[]): Client {
    const home = nth % this.#profile.processes
    return new Client({
      ...{ name: `c${nth + 1}`, profile: this.#profile, scheduler: this.#scheduler, history: this.#history },
      processes: () => this.#living,
      home: () => this.#processes[home] as ShopProcess,
      startsAtMs: startsAtMs[home] as number,
      tell: this.#tell,
      onRollback: () => this.#witnesses.note('A5 a transaction thought better of it'),
      onProven: () => this.#witnesses.note('a bound was proven'),
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
    const wrong = setBack(arrival)
    if (wrong !== undefined) this.#faults.push(wrong)
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

  /** Everything acknowledged before has been fenced again, or nobody asks the wrong server any more. */
  #endDoubts(shard: string): void {
    if (this.#living.some(({ redis }) => redis.isolatedFrom.has(shard))) return
    this.#doubts.end(shard, this.#scheduler.nowMs)
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
        memoryLagMs: this.#doubts.memoryLagMs,
        maxExamples: Number.POSITIVE_INFINITY,
        ...(ttl?.freshMs === undefined ? {} : { freshMs: ttl.freshMs }),
      },
    )
    if (this.#profile.countsLoads === 'fleet' && report.loads.mostAtOnce > 1) {
      this.#faults.push(`${report.loads.mostAtOnce} loads of one row at once in the fleet`)
    }
    return {
      ...{ seed: this.#seed, profile: this.#profileName, report, faults: this.#faults, story: this.#story },
      violations: report.violations.filter((violation) => this.#doubts.isPromised(violation)),
      witnesses: this.#witnesses.seen,
      events: this.#scheduler.steps,
    }
  }
}

/** Said so often that a story would drown in them. */
const QUIET: ReadonlySet<CorralEvent['type']> = new Set(['relay.beat', 'started', 'durability', 'coalesced'])

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
