import type { ShopProcess } from './shop-lab.js'

/** One read as it was seen from outside: when it began, and what it returned. */
export interface Sight {
  readonly process: string
  readonly id: number
  readonly atMs: number
  readonly version: bigint
}

/** A write that has returned `fenced`: from here on nobody may be shown less, but for what an L1 still trusts. */
export interface Acknowledged {
  readonly id: number
  readonly atMs: number
  readonly version: bigint
}

/** A clock that all processes of this machine share. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

/** Reads that returned less than what had been acknowledged more than `limitMs` before they began. */
export function staleReads(sights: readonly Sight[], written: readonly Acknowledged[], limitMs: number): string[] {
  return sights.flatMap(({ process, id, atMs, version }) => {
    const known = written.filter((write) => write.id === id && write.version > version && write.atMs < atMs - limitMs)
    if (known.length === 0) return []
    const lateMs = Math.round(atMs - Math.min(...known.map((write) => write.atMs)))
    return [`${process} showed ${id} ${lateMs} ms after it had changed`]
  })
}

/** Reads the same rows over and over, and remembers what it was shown. */
export class Watcher {
  readonly sights: Sight[] = []
  readonly #running: Promise<void>
  #stopped = false

  constructor(name: string, products: ShopProcess['products'], ids: readonly number[]) {
    this.#running = this.#run(name, products, ids)
    // A test that fails closes the process under it; `stop` tells whoever still asks.
    this.#running.catch(() => {})
  }

  async stop(): Promise<Sight[]> {
    this.#stopped = true
    await this.#running
    return this.sights
  }

  async #run(name: string, products: ShopProcess['products'], ids: readonly number[]): Promise<void> {
    while (!this.#stopped) {
      for (const id of ids) {
        const atMs = machineMs()
        const row = await products.find(id)
        this.sights.push({ process: name, id, atMs, version: BigInt(row?.corral_version ?? 0) })
      }
      await pause(2)
    }
  }
}

/** Changes one of the rows after the other, and remembers what was acknowledged. */
export class Writer {
  readonly acknowledged: Acknowledged[] = []
  readonly #running: Promise<void>
  #stopped = false

  /** @param pauseMs between two writes. */
  constructor(products: ShopProcess['products'], ids: readonly number[], pauseMs = 8) {
    this.#running = this.#run(products, ids, pauseMs)
    this.#running.catch(() => {})
  }

  async stop(): Promise<Acknowledged[]> {
    this.#stopped = true
    await this.#running
    return this.acknowledged
  }

  async #run(products: ShopProcess['products'], ids: readonly number[], pauseMs: number): Promise<void> {
    for (let at = 0; !this.#stopped; at++) {
      const id = ids[at % ids.length] as number
      const written = await products.update(id, { price: at })
      const version = BigInt(written?.version ?? 0)
      if (written?.fence === 'fenced') this.acknowledged.push({ id, atMs: machineMs(), version })
      await pause(pauseMs)
    }
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
