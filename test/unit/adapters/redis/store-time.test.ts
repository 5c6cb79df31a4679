import { EventEmitter } from 'node:events'
import { describe, expect, it } from 'vitest'
import { RedisStore } from '../../../../src/adapters/redis/redis-store.js'
import type { CacheKey } from '../../../../src/core/key.js'
import { judge } from '../../../../src/policy/verdict.js'
import { ManualClock } from '../../../support/manual-clock.js'
import { plainChance } from '../../../support/seeded-chance.js'

const KEY = 'shop:{public.products/42}' as CacheKey
const DEMANDS = { shape: 's', epoch: 'e', graceMs: 0, early: { beta: 0, maxEarliness: 0, maxLoads: 1 } }

/** A server of which only the clock matters: what it shows, and when between a request and its reply that was. */
class ServerTime {
  aheadMs = 0
  thereMs = 0.1
  backMs = 0.1
  /** `untilMs` of the last fill. */
  untilMs = Number.NaN
  readonly store: RedisStore
  readonly clock = new ManualClock()
  readonly #connection: EventEmitter

  constructor() {
    const scripts = {
      corralMarkBuffer: async () => [Buffer.from('mark'), await this.#answer()],
      corralFillBuffer: async (...values: unknown[]) => {
        this.untilMs = Number(values.at(-1))
        return [Buffer.from('filled'), await this.#answer()]
      },
      time: () => new Promise(() => {}),
    }
    const base = { isCluster: false, status: 'ready', options: {}, defineCommand() {}, disconnect() {} }
    this.#connection = Object.assign(new EventEmitter(), base, { connect: async () => {} }, scripts)
    const client = { ...base, duplicate: () => this.#connection }
    this.store = new RedisStore({ client: client as never, namespace: 'shop', clock: this.clock })
  }

  get nowMs(): number {
    return this.clock.wallMs() + this.aheadMs
  }

  /** By how much the store holds the server's clock for later than it is. */
  get aheadByMs(): number {
    return this.store.nowMs() - this.nowMs
  }

  async ask(): Promise<void> {
    const answer = this.store.mark([{ key: KEY, fresh: 'm', keepMs: 1 }])
    await this.clock.advance(this.thereMs)
    await this.clock.advance(this.backMs)
    await answer
  }

  async fill(untilMs: number): Promise<void> {
    const from = { version: undefined, snapshot: '1:1:', loadedFrom: 'standby', replacesNewer: false } as const
    const answer = this.store.fill([{ ...from, key: KEY, token: 't', sealed: Buffer.from('x'), keepMs: 1, untilMs }])
    await this.clock.advance(this.thereMs)
    await this.clock.advance(this.backMs)
    await answer
  }

  reconnect(): void {
    this.#connection.emit('ready')
  }

  async #answer(): Promise<Buffer> {
    await this.clock.sleep(this.thereMs)
    const shown = Math.floor(this.nowMs)
    await this.clock.sleep(this.backMs)
    return Buffer.from(String(shown))
  }
}

describe("the store's clock, as a process knows it", () => {
  it.each([
    ['right when the request came', 0, 8],
    ['just before the reply left', 8, 0],
    ['in between', 4, 4],
  ])('is never behind, and ahead by a round trip at most, when it was told %s', async (_, thereMs, backMs) => {
    const server = new ServerTime()
    for (const aheadMs of [0, 0.4, 0.999, 7_000, -7_000]) {
      Object.assign(server, { aheadMs, thereMs, backMs })
      server.reconnect()
      await server.ask()
      expect(server.aheadByMs).toBeGreaterThanOrEqual(0)
      expect(server.aheadByMs).toBeLessThanOrEqual(8 + 1)
    }
  })

  it('is taken from the shortest round trip', async () => {
    const server = new ServerTime()
    for (const thereMs of [20, 0.1, 20]) {
      server.thereMs = thereMs
      await server.ask()
    }
    expect(server.aheadByMs).toBeLessThan(2)
  })

  it('grows doubtful with the time that nobody has told it, and is learned anew', async () => {
    const server = new ServerTime()
    await server.ask()
    await server.clock.advance(100_000)
    expect(server.aheadByMs).toBeGreaterThan(10)
    Object.assign(server, { thereMs: 2, backMs: 2 })
    await server.ask()
    expect(server.aheadByMs).toBeLessThan(6)
  })

  it.each([
    ['ahead', 5_000],
    ['behind', -5_000],
  ])('is corrected by the first reply of a server whose clock is %s, however long that took', async (_, aheadMs) => {
    const server = new ServerTime()
    await server.ask()
    Object.assign(server, { aheadMs, thereMs: 1, backMs: 1 })
    await server.ask()
    const filledAtMs = Math.floor(server.nowMs)
    const entry = { kind: 'row', shape: 's', epoch: 'e', filledAtMs, freshMs: 300_000, loadMs: 5 } as const
    const judged = { ...entry, version: undefined }
    expect(judge(judged, server.store.nowMs(), undefined, DEMANDS, plainChance())).toBe('fresh')
    expect(Math.abs(server.aheadByMs)).toBeLessThan(4)
  })

  it('is not thrown over by a reply that took long and may fit', async () => {
    const server = new ServerTime()
    await server.ask()
    for (const [thereMs, backMs] of [
      [0, 50],
      [50, 0],
    ] as const) {
      Object.assign(server, { thereMs, backMs })
      await server.ask()
      expect(server.aheadByMs).toBeLessThan(2)
    }
  })

  it('of a connection that was made anew is that of its first reply: another server may be there, whose clock differs by less than shows', async () => {
    const server = new ServerTime()
    await server.ask()
    Object.assign(server, { aheadMs: 1.9, thereMs: 0, backMs: 4 })
    server.reconnect()
    await server.ask()
    expect(server.aheadByMs).toBeGreaterThanOrEqual(0)
  })

  it('has a fill from a standby refused by the earliest it may be', async () => {
    const server = new ServerTime()
    Object.assign(server, { thereMs: 4, backMs: 4 })
    await server.ask()
    const [rightMs, untilMs] = [server.nowMs + 30_000, server.store.nowMs() + 30_000]
    await server.fill(untilMs)
    expect(untilMs).toBeGreaterThan(rightMs)
    expect(server.untilMs).toBeLessThanOrEqual(rightMs)
    expect(server.untilMs).toBeGreaterThan(rightMs - 10)
  })
})
