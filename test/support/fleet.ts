import { MemoryStore } from '../../src/adapters/memory/memory-store.js'
import { ManualClock } from './manual-clock.js'
import { ProcessModel, type ProcessSettings } from './process-model.js'
import { plainChance } from './seeded-chance.js'
import { TableModel } from './table-model.js'

/** Processes of the model over one table and one store, on one clock. */
export class Fleet {
  readonly clock = new ManualClock()
  readonly table = new TableModel()
  readonly store: MemoryStore
  readonly #settings: Partial<ProcessSettings>
  #processes = 0

  constructor(settings: Partial<ProcessSettings> = {}, store: { maxBytes?: number; maxGuards?: number } = {}) {
    this.#settings = settings
    this.store = new MemoryStore({ clock: this.clock, maxBytes: 1_000_000, ...store })
  }

  /** One more process; its tokens carry its number, so that a story tells whose lease is meant. */
  start(settings: Partial<ProcessSettings> = {}, chance = plainChance(0, `p${++this.#processes}`)): ProcessModel {
    const { clock, store, table } = this
    return new ProcessModel({ clock, store, table, chance, settings: { ...this.#settings, ...settings } })
  }
}
