import { type ChildProcess, fork } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bundle } from '../../support/bundle.js'
import { redisUrl } from '../../support/services.js'
import { ShopLab } from '../../support/shop-lab.js'
import type { RaceOrder, RaceReport } from './race-worker.js'

const TRIALS = 2_000
/** Trials that run side by side: fills of one tick travel, and pause, together. */
const WAVE = 100

class Racer {
  readonly #child: ChildProcess
  readonly ready: Promise<RaceReport>

  constructor(program: string, shop: ShopLab) {
    const values = [shop.databaseUrl, redisUrl(), shop.namespace]
    this.#child = fork(program, values, {
      execArgv: [],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    this.ready = this.#report()
  }

  tell(order: RaceOrder): Promise<RaceReport> {
    const report = this.#report()
    this.#child.send(order)
    return report
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  #report(): Promise<RaceReport> {
    return new Promise((resolve, reject) => {
      const onExit = () => reject(new Error('the racer is gone'))
      this.#child.once('exit', onExit)
      this.#child.once('message', ({ report, failure }: { report?: RaceReport; failure?: string }) => {
        this.#child.off('exit', onExit)
        if (report) resolve(report)
        else reject(new Error(failure))
      })
    })
  }
}

describe(`${TRIALS} fill races over two processes`, () => {
  let shop: ShopLab
  let loader: Racer
  let writer: Racer
  beforeAll(async () => {
    shop = await ShopLab.open()
    await shop.run(`insert into products (price) select 1 from generate_series(1, ${TRIALS})`)
    const program = await bundle(new URL('race-worker.ts', import.meta.url))
    loader = new Racer(program, shop)
    writer = new Racer(program, shop)
    await Promise.all([loader.ready, writer.ready])
  })
  afterAll(() => {
    loader.kill()
    writer.kill()
  })

  it('leave nothing stale: each loads v1 and pauses, the other writes v2 and fences, v1 is filled, both read', async () => {
    let stale = 0
    const fills: Record<string, number> = {}
    for (let first = 1; first <= TRIALS; first += WAVE) {
      const ids = Array.from({ length: WAVE }, (_, at) => first + at)
      const { prices } = await loader.tell({ act: 'load and pause', ids })
      expect(prices, 'v1 is in hand').toEqual(ids.map(() => 1))
      const { fences } = await writer.tell({ act: 'write', ids, price: 2 })
      expect(fences).toEqual(ids.map(() => 'fenced'))
      const filled = await loader.tell({ act: 'fill' })
      for (const [outcome, count] of Object.entries(filled.fills ?? {})) fills[outcome] = (fills[outcome] ?? 0) + count
      for (const racer of [writer, loader]) {
        const read = await racer.tell({ act: 'read', ids })
        stale += (read.prices ?? []).filter((price) => price !== 2).length
      }
    }
    expect(stale).toBe(0)
    expect(fills, 'every fill came too late, and was refused').toEqual({ 'lease-lost': TRIALS })
    await Promise.all([loader, writer].map((racer) => racer.tell({ act: 'close' }).catch(() => undefined)))
  })
})
