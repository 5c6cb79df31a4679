import { afterEach } from 'vitest'
import { ManualClock, settle } from './manual-clock.js'
import { MemoryHub } from './memory-channel.js'
import { ModelFeed } from './model-feed.js'
import { closeProcesses } from './near-fleet.js'
import { NearProcess, type NearSettings } from './near-process.js'
import { type ShardedMemory, ShardedServers } from './sharded-memory.js'
import { TableModel } from './table-model.js'

/** A process of the fleet, and its way to the cache. */
export interface RelayedProcess extends NearProcess {
  readonly view: ShardedMemory
}

/** Processes over one table, a cache of one or more servers, a bus and relays, on one clock. */
export class RelayedFleet {
  static readonly #alive = new Set<RelayedFleet>()
  readonly clock = new ManualClock()
  readonly table = new TableModel()
  readonly servers: ShardedServers
  readonly hub = new MemoryHub(this.clock)
  readonly feed = new ModelFeed(this.table, this.clock)
  readonly processes: NearProcess[] = []

  constructor(shards: readonly string[] = ['one']) {
    this.servers = new ShardedServers(this.clock, shards)
    RelayedFleet.#alive.add(this)
  }

  start(settings: NearSettings = {}): RelayedProcess {
    return this.#start(settings, undefined)
  }

  /** Starts a process that runs a relay, and waits until it leads and has caught up. */
  async startRelay(settings: NearSettings = {}): Promise<RelayedProcess> {
    const process = this.#start(settings, this.feed)
    await this.clock.advance(1_000)
    return process
  }

  /** Until `process` can prove a bound of so long: by looking at least twice, some ticks apart. */
  async untilProven(process: NearProcess, id: string, maxStaleMs: number): Promise<void> {
    for (let waited = 0; waited < 100; waited++) {
      process.events.events.length = 0
      await process.readWithin(id, maxStaleMs)
      if (process.events.of('miss').every(({ reason }) => reason !== 'unproven')) return
      await this.clock.advance(50)
    }
    throw new Error(`nothing was proven of ${id} within ${maxStaleMs} ms`)
  }

  /** Ends a process in good order. */
  stop(process: NearProcess): Promise<void> {
    return this.pass(process.close())
  }

  /** Lets time pass until `work` has ended. */
  async pass<Result>(work: Promise<Result>): Promise<Result> {
    let hasEnded = false
    const end = () => {
      hasEnded = true
    }
    work.then(end, end)
    await settle()
    for (let steps = 0; !hasEnded && steps < 2_000; steps++) await this.clock.advance(10)
    return work
  }

  static async closeAll(): Promise<void> {
    const fleets = [...RelayedFleet.#alive]
    RelayedFleet.#alive.clear()
    for (const { clock, servers, table, processes } of fleets) {
      for (const name of servers.names) servers.bringUp(name)
      table.openGates()
      await closeProcesses(processes, clock, 3_000)
    }
  }

  #start(settings: NearSettings, feed: ModelFeed | undefined): RelayedProcess {
    const view = this.servers.connect()
    const process = new NearProcess({
      ...{ clock: this.clock, store: view, table: this.table, channel: this.hub.connect(), feed },
      name: `p${this.processes.length + 1}`,
      settings,
    })
    this.processes.push(process)
    return Object.assign(process, { view })
  }
}

/** Ends every fleet after each test of a file, and checks that it leaves nothing. Call it at the top of the file. */
export function endRelayedFleetsAfterEach(): void {
  afterEach(() => RelayedFleet.closeAll())
}
