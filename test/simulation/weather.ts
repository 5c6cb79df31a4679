import type { CacheKey } from '../../src/core/key.js'
import type { MessageFault } from './bus.js'
import type { Database } from './postgres/database.js'
import type { StatementFault } from './postgres/dialect.js'
import type { ShopProcess } from './process.js'
import type { Faults, Profile } from './profile.js'
import type { Arrival, CommandFault } from './redis/connection.js'
import type { RedisServer } from './redis/server.js'
import type { RedisServers } from './redis/servers.js'
import type { Scheduler } from './scheduler.js'
import type { WitnessLog } from './witnesses.js'

export interface WeatherOptions {
  readonly profile: Profile
  readonly scheduler: Scheduler
  readonly servers: RedisServers
  readonly database: Database
  /** Those that are alive. */
  readonly processes: () => readonly ShopProcess[]
  readonly tell: (who: string, what: string) => void
  readonly witnesses: WitnessLog
  readonly onFailover: (shard: string) => void
  readonly onIsolationEnd: (shard: string) => void
}

/** Longer than a lease and than a fence is remembered. */
const LONGEST_PAUSE_MS = 1_300
const LONGEST_STALL_MS = 250
const LONGEST_ISOLATION_MS = 600
/** From a server that follows: for longer than that lags behind. */
const LONGEST_FOLLOWED_MS = 1_500
/** Longer than a fence is remembered. */
const LOADED_STALL_MS = 1_500
const SOON_MS = 5
/** A statement that is never answered arrives well before its keys are fenced for the third time: `REPEAT_AFTER_MS` of engine/fencer.ts. */
const DOUBT_MS = 1_300

/** Everything that goes wrong in a run, drawn from its seed. It clears up before the run ends. */
export class Weather {
  readonly #options: WeatherOptions
  readonly #faults: Partial<Faults>
  #isOver = false
  /** Until then keys may be fenced again whose commit was not answered. */
  doubtfulUntilMs = 0
  readonly #clearUps = new Set<() => void>()

  constructor(options: WeatherOptions) {
    this.#options = options
    this.#faults = options.profile.faults
  }

  /** Draws what befalls the run, and when. */
  begin(untilMs: number): void {
    const plans: Partial<Record<keyof Faults, () => void>> = {
      crash: () => this.#crash(),
      pause: () => this.#pause(),
      evictEntry: () => this.#evict('entry'),
      evictGuard: () => this.#evict('guard'),
      redisStall: () => this.#stall(),
      redisReset: () => this.#reset(),
      redisDown: () => this.#takeDown(),
      redisRestart: () => this.#restart(),
      redisFailover: () => this.#failover(),
      busReset: () => this.#busReset(),
      busDeaf: () => this.#busDeaf(),
      busStall: () => this.#busStall(),
      outsideSql: () => void this.#outside(),
      outsideBulk: () => void this.#bulk(),
    }
    const { scheduler } = this.#options
    for (const [name, act] of Object.entries(plans)) {
      const mean = this.#faults[name as keyof Faults] ?? 0
      for (let left = mean; left > 0; left -= 1) {
        if (left < 1 && !scheduler.happens(left)) continue
        scheduler.after(scheduler.between(5, untilMs), () => {
          if (!this.#isOver) act()
        })
      }
    }
  }

  /** From now on nothing goes wrong any more; what has is mended. */
  end(): void {
    this.#isOver = true
    for (const clearUp of this.#clearUps) clearUp()
    this.#clearUps.clear()
  }

  statementFault(sql: string): StatementFault | undefined {
    if (this.#isOver) return undefined
    const { scheduler } = this.#options
    const isCommit = sql === 'commit' || /^(insert|update|delete)/.test(sql)
    const share = (isCommit ? (this.#faults.commitUnanswered ?? 0) : 0) + (this.#faults.statementLost ?? 0)
    if (share === 0 || !scheduler.happens(share)) return undefined
    if (isCommit) {
      this.#options.witnesses.note('A4 a COMMIT was not answered')
      this.doubtfulUntilMs = scheduler.nowMs + DOUBT_MS
    }
    return scheduler.pick(['lost', 'late', 'unanswered'] as const)
  }

  commandFault(): CommandFault | undefined {
    const { commandLost = 0 } = this.#faults
    const { scheduler } = this.#options
    if (this.#isOver || commandLost === 0 || !scheduler.happens(commandLost)) return undefined
    const fault = scheduler.pick(['lost', 'late', 'unanswered'] as const)
    if (fault === 'late') this.#options.witnesses.note('A15 a command arrived after its caller had given it up')
    return fault
  }

  /** Memory pressure strikes where it hurts most. */
  arrived({ by, operation, key }: Arrival): void {
    const { evictFilled = 0, evictFenced = 0, fencedCrash = 0 } = this.#faults
    const { scheduler, servers, tell } = this.#options
    if (!this.#isOver && operation === 'fence' && fencedCrash > 0 && scheduler.happens(fencedCrash)) {
      // Before it hears of that, and can write again.
      scheduler.after(scheduler.between(0, 1), () => this.#crash(by))
    }
    const share = operation === 'fill' ? evictFilled : operation === 'fence' ? evictFenced : 0
    if (this.#isOver || share === 0 || !/[/@]/.test(key) || !scheduler.happens(share)) return
    const server = servers.shard(servers.of(key)).primary
    scheduler.after(scheduler.between(0, SOON_MS), () => {
      tell(server.name, `evicts the ${operation === 'fill' ? 'entry' : 'guard'} of ${key}`)
      if (operation === 'fill') server.evictEntry(key)
      else this.#evictGuard(server, key)
    })
  }

  /** What is stored of it may arrive when the fences that it was held against are forgotten. */
  loadedFromStandby(redis: ShopProcess['redis']): void {
    const { loadedStall = 0 } = this.#faults
    const { scheduler } = this.#options
    if (this.#isOver || loadedStall === 0 || !scheduler.happens(loadedStall)) return
    redis.stall(scheduler.between(0, LOADED_STALL_MS))
  }

  messageFault(): MessageFault | undefined {
    const { messageLost = 0, messageTwice = 0, messageOvertaken = 0 } = this.#faults
    if (this.#isOver || messageLost + messageTwice + messageOvertaken === 0) return undefined
    const drawn = this.#options.scheduler.between(0, 1)
    if (drawn < messageLost) {
      this.#options.witnesses.note('A35 a message was lost')
      return 'lost'
    }
    if (drawn < messageLost + messageTwice) return 'twice'
    return drawn < messageLost + messageTwice + messageOvertaken ? 'overtaken' : undefined
  }

  #anyone(): ShopProcess | undefined {
    return this.#options.scheduler.pick(this.#options.processes())
  }

  #crash(name?: string): void {
    const living = this.#options.processes()
    const mortal = name === undefined ? living : living.filter(({ host }) => host.name === name)
    // One stays to tell the tale, and to relay.
    const victim = living.length > 1 ? this.#options.scheduler.pick(mortal) : undefined
    if (victim === undefined) return
    this.#options.tell(victim.host.name, 'dies')
    this.#options.witnesses.died(victim.host.name)
    victim.die()
  }

  #pause(): void {
    const process = this.#anyone()
    if (process !== undefined) this.#stop(process, this.#options.scheduler.between(20, LONGEST_PAUSE_MS))
  }

  /** Between a COMMIT and the fences that follow it. */
  committed(by: string): void {
    const { committedPause = 0 } = this.#faults
    const { scheduler, processes } = this.#options
    if (this.#isOver || committedPause === 0 || !scheduler.happens(committedPause)) return
    const process = processes().find(({ host }) => host.name === by)
    if (process !== undefined) this.#stop(process, scheduler.between(20, LONGEST_STALL_MS))
  }

  #stop(process: ShopProcess, ms: number): void {
    if (process.host.isStopped) return
    const { tell, witnesses, profile } = this.#options
    tell(process.host.name, `is stopped for ${Math.round(ms)} ms`)
    const { l1, bus } = profile.options
    if (l1?.maxEntries !== 0 && ms > (bus?.trustMs ?? 0)) {
      witnesses.note('A40 a process with rows in memory was stopped for longer than it is trusted')
    }
    witnesses.stopped(process.host.name)
    process.host.stop()
    this.#clearAfter(ms, () => process.host.goOn())
  }

  #evict(what: 'entry' | 'guard'): void {
    const { scheduler, servers, tell } = this.#options
    const server = scheduler.pick(servers.primaries)
    const keys = server.keys.filter((key: CacheKey) => /[/@]/.test(key))
    const key = scheduler.pick(keys)
    if (key === undefined) return
    tell(server.name, `evicts the ${what} of ${key}`)
    if (what === 'entry') server.evictEntry(key)
    else this.#evictGuard(server, key)
  }

  #evictGuard(server: RedisServer, key: CacheKey): void {
    this.#options.witnesses.evictedGuard(key)
    server.evictGuard(key)
  }

  #stall(): void {
    const process = this.#anyone()
    const { scheduler, tell } = this.#options
    const ms = scheduler.between(5, LONGEST_STALL_MS)
    if (process) tell(process.host.name, `hears nothing of the cache for ${Math.round(ms)} ms`)
    process?.redis.stall(ms)
  }

  #reset(): void {
    const process = this.#anyone()
    if (process) this.#options.tell(process.host.name, 'loses its connections to the cache')
    process?.redis.reset()
  }

  #takeDown(): void {
    const { scheduler, servers, tell } = this.#options
    const server = scheduler.pick(servers.primaries)
    const ms = scheduler.between(20, 2 * LONGEST_STALL_MS)
    tell(server.name, `answers nobody for ${Math.round(ms)} ms`)
    server.isDown = true
    this.#clearAfter(ms, () => {
      server.isDown = false
    })
  }

  #restart(): void {
    const { scheduler, servers, tell } = this.#options
    const name = scheduler.pick(servers.names)
    tell(name, 'starts anew with nothing')
    servers.restart(name)
    for (const process of this.#options.processes()) process.redis.reset(name)
  }

  /** The replica hears nothing for a while, which nobody notices; then it takes over. */
  #failover(): void {
    const { scheduler, servers, tell, onFailover } = this.#options
    const name = scheduler.pick(servers.names)
    const { primary } = servers.shard(name)
    if (primary.replica === undefined) return
    const replica = servers.cutReplica(name)
    const cutMs = scheduler.nowMs
    tell(name, 'its replica is cut off')
    const takeOver = () => {
      if (servers.shard(name).primary !== primary) return
      tell(name, 'its replica takes over')
      onFailover(name)
      this.#options.witnesses.tookOver(cutMs)
      const follows = servers.promote(name, replica)
      if (follows) this.#options.witnesses.note('a former primary followed the server that had replaced it')
      for (const process of this.#options.processes()) {
        if (scheduler.happens(this.#faults.splitBrain ?? 0)) this.#isolate(process, name, follows)
        else process.redis.reset(name)
      }
    }
    this.#clearAfter(scheduler.between(5, 150), takeOver)
  }

  #isolate(process: ShopProcess, name: string, follows: boolean): void {
    const { scheduler, tell } = this.#options
    tell(process.host.name, `goes on to talk to the former primary of ${name}`)
    this.#options.witnesses.note('A30 a process went on to talk to a server that had been replaced')
    process.redis.isolatedFrom.add(name)
    this.#clearAfter(scheduler.between(20, follows ? LONGEST_FOLLOWED_MS : LONGEST_ISOLATION_MS), () => {
      process.redis.isolatedFrom.delete(name)
      process.redis.reset(name)
      this.#options.onIsolationEnd(name)
    })
  }

  #busReset(): void {
    const process = this.#anyone()
    if (process) this.#options.tell(process.host.name, 'loses its connections to the bus')
    process?.bus.reset()
  }

  #busDeaf(): void {
    const process = this.#anyone()
    if (process) this.#options.tell(process.host.name, 'has half open connections to the bus')
    if (process) this.#options.witnesses.note('A36 connections to the bus were half open')
    process?.bus.deafen()
  }

  #busStall(): void {
    const process = this.#anyone()
    const ms = this.#options.scheduler.between(5, LONGEST_STALL_MS)
    if (process) this.#options.tell(process.host.name, `hears nothing of the bus for ${Math.round(ms)} ms`)
    process?.bus.stall(ms)
  }

  async #outside(): Promise<void> {
    const { database, scheduler, profile, tell } = this.#options
    const id = 1 + Math.floor(scheduler.between(0, profile.ids))
    const tx = database.begin()
    if (scheduler.happens(0.2)) await database.delete(tx, id)
    else await database.update(tx, id, { price: Math.floor(scheduler.between(0, 1_000)) })
    scheduler.after(scheduler.between(0, 100), () => {
      this.#options.witnesses.note('A47 somebody wrote by SQL')
      tell('SQL from outside', `commits a change of ${id}`)
      database.commit(tx)
    })
  }

  async #bulk(): Promise<void> {
    const { database, scheduler, profile, tell } = this.#options
    const tx = database.begin()
    for (let id = 1; id <= profile.ids; id++) await database.update(tx, id, { price: 1_000 + id })
    database.untell(tx)
    database.tellBulk(tx, 'b')
    scheduler.after(scheduler.between(0, 50), () => {
      tell('SQL from outside', 'commits a statement over all rows')
      database.commit(tx)
    })
  }

  #clearAfter(ms: number, act: () => void): void {
    const once = () => {
      if (this.#clearUps.delete(once)) act()
    }
    this.#clearUps.add(once)
    this.#options.scheduler.after(ms, once)
  }
}
