import { afterEach, expect } from 'vitest'
import { MemoryStore } from '../../src/adapters/memory/memory-store.js'
import { ManualClock, settle, untimed } from './manual-clock.js'
import { MemoryHub } from './memory-channel.js'
import { NearProcess, type NearSettings } from './near-process.js'
import { TableModel } from './table-model.js'

/** Processes with near tiers over one table, one store and one bus, on one clock. Closed when the test is over. */
export class NearFleet {
  static readonly #alive = new Set<NearFleet>()

  readonly clock = new ManualClock()
  readonly table = new TableModel()
  readonly store = new MemoryStore({ clock: this.clock, maxBytes: 100_000 })
  readonly hub = new MemoryHub(this.clock)
  readonly #settings: NearSettings
  readonly processes: NearProcess[] = []

  constructor(settings: NearSettings = {}) {
    this.#settings = settings
    NearFleet.#alive.add(this)
  }

  start(settings: NearSettings = {}): NearProcess {
    return this.#start(settings, true)
  }

  /** A process that hears and tells nobody, as without Redis. */
  startAlone(settings: NearSettings = {}): NearProcess {
    return this.#start(settings, false)
  }

  /** Puts a row into the table, and copies of it into the store and into the memory of these processes. */
  async warm(id: string, price: number, ...processes: NearProcess[]): Promise<void> {
    this.table.put(id, price)
    for (const process of processes) {
      await process.read(id)
      await settle()
    }
    for (const process of processes) expect(process.holds(id), 'held in memory to begin with').toBe(true)
  }

  static async closeAll(): Promise<void> {
    const fleets = [...NearFleet.#alive]
    NearFleet.#alive.clear()
    for (const { clock, table, processes } of fleets) {
      table.openGates()
      await closeProcesses(processes, clock, 1_000)
    }
  }

  #start(settings: NearSettings, hasBus: boolean): NearProcess {
    const { clock, store, table, hub } = this
    const process = new NearProcess({
      clock,
      store,
      table,
      channel: hasBus ? hub.connect() : undefined,
      name: `p${this.processes.length + 1}`,
      settings: { ...this.#settings, ...settings },
    })
    this.processes.push(process)
    return process
  }
}

/** Ends these processes within `ms` of their clock, whatever a test that failed has left of them, and wants nothing left. */
export async function closeProcesses(processes: readonly NearProcess[], clock: ManualClock, ms: number): Promise<void> {
  for (const { clock: own, cache } of processes) {
    own.goOn()
    cache.heal()
    cache.openGates()
  }
  const closing = Promise.all(processes.map((process) => process.close()))
  await clock.advance(ms)
  await untimed(closing)
  await settle()
  expect(clock.timers, 'timers left').toBe(0)
}

/** Ends every fleet after each test of a file, and checks that it leaves nothing. Call it at the top of the file. */
export function endFleetsAfterEach(): void {
  afterEach(() => NearFleet.closeAll())
}
