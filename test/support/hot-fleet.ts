import { type CacheKey, copyKey } from '../../src/core/key.js'
import type { StoredBytes } from '../../src/core/ports.js'
import { copySuffixes, keySlot } from '../../src/policy/slot-copies.js'
import { Fleet } from './fleet.js'
import { settle } from './manual-clock.js'
import type { ProcessModel, ProcessSettings } from './process-model.js'
import { plainChance } from './seeded-chance.js'

export const COPIES = 3
export const COPY_TTL_MS = 5_000
const CHECKSUM_AT = 15

/** A fleet whose hot keys have three copies. Row 42 costs 1 to begin with. */
export class HotFleet extends Fleet {
  constructor(settings: Partial<ProcessSettings> = {}) {
    super({ hot: { copies: COPIES, copyTtlMs: COPY_TTL_MS }, ...settings })
    this.table.put('42', 1)
  }

  /** A process that keeps to this copy. `lot`: what it draws each time; 0 refreshes nothing early. */
  startOn(copy: number, settings: Partial<ProcessSettings> = {}, lot = 0): ProcessModel {
    for (let number = 1; ; number++) {
      const name = `c${copy}.${number}`
      // The first token a process draws is its own.
      if (keySlot(`${name}-1`) % COPIES === copy && !this.#names.has(name)) {
        this.#names.add(name)
        return this.start(settings, plainChance(lot, name))
      }
    }
  }
  readonly #names = new Set<string>()

  /** One process for each copy, in order. */
  startAll(settings: Partial<ProcessSettings> = {}): ProcessModel[] {
    return Array.from({ length: COPIES }, (_, copy) => this.startOn(copy, settings))
  }

  copiesOf(process: ProcessModel, id = '42'): CacheKey[] {
    const key = process.keyOf(id)
    return copySuffixes(key, COPIES).map((suffix) => copyKey(key, suffix))
  }

  /** Lets row 42 become hot for these processes; they have not read a copy yet. */
  async heat(...processes: ProcessModel[]): Promise<void> {
    for (const process of processes) await process.read('42')
    await this.clock.advance(1_000)
    // The second is over when the process reads again, whatever it reads.
    for (const process of processes) process.hotKeys.copyFor(process.keyOf('7'), 0)
    for (const process of processes) process.events.story()
  }

  /** What is stored under these keys as prices; undefined: nothing. */
  async prices(keys: readonly CacheKey[]): Promise<(number | undefined)[]> {
    return (await this.store.read(keys)).map((bytes) => (bytes === null ? undefined : priceIn(bytes)))
  }

  /** Memory pressure takes this one entry, and leaves its guard and the others of `among`. */
  async evictEntry(key: CacheKey, among: readonly CacheKey[]): Promise<void> {
    const others = among.filter((other) => other !== key)
    const held = await this.store.read(others)
    await this.evictEntries()
    for (const [at, bytes] of held.entries()) {
      if (bytes !== null) await this.plant(others[at] as CacheKey, bytes.subarray(CHECKSUM_AT))
    }
  }
}

/** Reads once in each process, one after the other, and lets what that sets off run to its end. */
export async function readAll(processes: readonly ProcessModel[]): Promise<(number | undefined)[]> {
  const prices: (number | undefined)[] = []
  for (const process of processes) {
    prices.push((await process.read('42'))?.price)
    await settle()
  }
  return prices
}

function priceIn(bytes: StoredBytes): number {
  const text = Buffer.from(bytes).toString('latin1')
  return JSON.parse(text.slice(text.indexOf('{'))).price
}
