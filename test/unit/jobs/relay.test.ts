import { afterEach, describe, expect, it } from 'vitest'
import type { Change } from '../../../src/core/change.js'
import type { CacheKey } from '../../../src/core/key.js'
import type { ChangeFeed, ChangePage, ChangeSource, FenceRequest, SourceChange } from '../../../src/core/ports.js'
import { readTick } from '../../../src/core/tick.js'
import type { Version } from '../../../src/core/version.js'
import { Relay } from '../../../src/jobs/relay.js'
import { ManualClock, settle } from '../../support/manual-clock.js'
import { PausableStore } from '../../support/pausable-store.js'
import { Recorder } from '../../support/recorder.js'
import { plainChance } from '../../support/seeded-chance.js'
import { type ShardedMemory, ShardedServers } from '../../support/sharded-memory.js'

const EMPTY: ChangePage = { changes: [], hasMore: false, isGap: false, lagMs: 0 }
const changed = (...ids: number[]): SourceChange[] =>
  ids.map((id) => ({
    kind: 'row',
    entity: 'public.products',
    id: [String(id)],
    xid: '7',
    version: '5' as Version,
    absent: false,
    lookups: [],
    values: [],
  }))

/** A relay over pages a test hands it and a cache of some servers, which writes down what it does in which order. */
class Lab {
  static readonly #open = new Set<Lab>()
  readonly clock = new ManualClock()
  readonly events = new Recorder()
  readonly did: string[] = []
  readonly pages: ChangePage[] = []
  /** What a replay brings. */
  readonly replayed: ChangePage[] = []
  readonly servers: ShardedServers
  readonly view: ShardedMemory
  readonly cache: PausableStore
  epochReaches = true
  leader = true
  epoch = 3
  tidies = 0
  readonly relay: Relay

  constructor(shards: readonly string[] = ['one']) {
    Lab.#open.add(this)
    this.servers = new ShardedServers(this.clock, shards)
    this.view = this.servers.connect()
    this.cache = new PausableStore(this.view, this.clock)
    this.relay = this.makeRelay()
  }

  makeRelay(name = 'p1'): Relay {
    const source: ChangeSource = {
      read: async () => this.pages.shift() ?? EMPTY,
      settle: async () => void this.did.push('settle'),
      replay: async (windowMs) => {
        this.did.push(`replay ${windowMs}`)
        return { read: async () => this.replayed.shift() ?? EMPTY }
      },
      prune: async (keepMs) => void this.did.push(`prune ${keepMs}`),
      describe: async (entity) => ({ roots: [entity], types: new Map() }),
      epoch: async (least) => {
        this.epoch = Math.max(this.epoch, least)
        return this.epoch
      },
    }
    const feed: ChangeFeed = {
      lead: async (work) => {
        if (this.leader) await work(source)
        return this.leader
      },
    }
    let told = 3
    return new Relay({
      feed,
      ...{ store: this.#watched(), shards: this.cache.shards },
      namespace: 'shop',
      clock: this.clock,
      chance: plainChance(0.5, name),
      emit: this.events.emit,
      settings: { pollMs: 100, electionMs: 1_000, keepMs: 600_000, replayMs: 300_000 },
      fenceOver: (store) => (changes: readonly Change[]) => store.fence(changes.map(requestOf)),
      epoch: {
        number: 0,
        publish: async (number) => {
          if (!this.epochReaches) throw new Error('away')
          if (number > told) this.did.push(`epoch ${number}`)
          told = Math.max(told, number)
        },
      },
      tidy: async () => ++this.tidies % 3 !== 0,
    })
  }

  async start(): Promise<this> {
    this.relay.start()
    await this.after(0)
    return this
  }

  /** The story so far is of no interest: the relay leads and has replayed what it had to. */
  async settled(): Promise<this> {
    await this.start()
    await this.clock.advance(500)
    this.did.length = 0
    this.events.events.length = 0
    return this
  }

  /** What the relay did meanwhile. */
  async after(ms: number): Promise<string[]> {
    await this.clock.advance(ms)
    await settle()
    return this.did.splice(0)
  }

  async tickOf(shard: string) {
    return readTick((await this.view.shards.look(shard)).tick)
  }

  get standings(): string[] {
    return this.events.of('relay.shard').map(({ shard, standing }) => `${shard} ${standing}`)
  }

  static async closeAll(): Promise<void> {
    for (const lab of Lab.#open) {
      lab.cache.heal()
      const closing = lab.relay.close()
      await lab.clock.advance(2_000)
      await closing
      expect(lab.clock.timers, 'timers left').toBe(0)
    }
    Lab.#open.clear()
  }

  #watched() {
    const { did, cache } = this
    return {
      read: (keys: readonly CacheKey[]) => cache.read(keys),
      async fence(requests: readonly FenceRequest[]) {
        const ids = requests.map(({ key }) => /\/(\w+)}$/.exec(key)?.[1]).filter((id) => id !== undefined)
        try {
          const outcomes = await cache.fence(requests)
          if (ids.length > 0) did.push(`fence ${ids.join(' ')}`)
          return outcomes
        } catch (error) {
          did.push(`fence ${ids.join(' ')} failed`)
          throw error
        }
      },
    }
  }
}

function requestOf({ key, version, xid }: Change): FenceRequest {
  return { key, version, xid, keepMs: 60_000, rememberAlways: false, replacement: null }
}

afterEach(() => Lab.closeAll())

describe('the relay', () => {
  it('settles only after the cache has acknowledged the fences, and asks until it does', async () => {
    const lab = await new Lab().settled()
    lab.cache.breakAlways('fail', ['fence'])
    lab.pages.push({ ...EMPTY, changes: changed(1, 2), lagMs: 12 })
    expect(await lab.after(100)).toEqual(['fence 1 2 failed'])
    expect(await lab.after(5_000)).not.toContain('settle')
    expect(lab.events.of('relay.beat').at(-1)).toMatchObject({ pending: 2, lagMs: expect.any(Number) })
    expect(lab.relay.figures.pending).toBe(2)
    expect(lab.relay.figures.ageMs).toBeGreaterThan(5_000)
    lab.cache.heal()
    expect(await lab.after(1_000)).toEqual(expect.arrayContaining(['fence 1 2', 'settle']))
    expect(lab.events.of('relay.batch')).toMatchObject([{ changes: 2, keys: 4, lagMs: 12 }])
    expect(lab.relay.figures.pending).toBe(0)
    expect(lab.relay.figures.ageMs).toBeLessThanOrEqual(100)
  })

  it('settles after the last page of what it found, not between', async () => {
    const lab = await new Lab().settled()
    lab.pages.push({ ...EMPTY, changes: changed(1), hasMore: true }, { ...EMPTY, changes: changed(2) })
    expect(await lab.after(100)).toEqual(['fence 1', 'fence 2', 'settle'])
  })

  it('raises the epoch for what is not told row by row, and settles when everybody could know', async () => {
    const lab = await new Lab().settled()
    lab.epochReaches = false
    lab.pages.push({ ...EMPTY, changes: [...changed(1), { kind: 'truncate', entity: 'public.products' }] })
    expect(await lab.after(3_000)).toEqual(['fence 1'])
    expect((await lab.tickOf('one'))?.epoch, 'though bounded readers learn it from the tick').toBe(4)
    lab.epochReaches = true
    expect((await lab.after(1_000)).slice(0, 2)).toEqual(['epoch 4', 'settle'])
    lab.pages.push({ ...EMPTY, isGap: true })
    expect((await lab.after(100)).slice(0, 2)).toEqual(['epoch 5', 'settle'])
  })

  it('tells of an epoch that was raised in the database by somebody else', async () => {
    const lab = await new Lab().settled()
    lab.epoch = 9
    expect(await lab.after(1_000)).toContain('epoch 9')
  })

  it('looks more often while there is something to find, and settles an idle position each second', async () => {
    const lab = await new Lab().settled()
    for (const id of [1, 2, 3]) lab.pages.push({ ...EMPTY, changes: changed(id) })
    expect(await lab.after(100)).toHaveLength(2)
    expect(await lab.after(25)).toHaveLength(2)
    expect(await lab.after(25)).toHaveLength(2)
    expect(await lab.after(3_000)).toHaveLength(2)
  })

  it('asks again for the lead, and says who has it', async () => {
    const lab = new Lab()
    lab.leader = false
    await lab.start()
    expect(lab.relay.role).toBe('standby')
    lab.leader = true
    await lab.after(1_000)
    expect(lab.relay.role).toBe('leader')
    await Lab.closeAll()
    expect(lab.events.of('relay.leader').map(({ state }) => state)).toEqual(['gained', 'lost'])
  })

  it('closes without settling what the cache has not acknowledged', async () => {
    const lab = await new Lab().settled()
    lab.cache.breakAlways('fail', ['fence'])
    lab.pages.push({ ...EMPTY, changes: changed(1) })
    await lab.after(100)
    const closing = lab.relay.close()
    await lab.after(1_000)
    await closing
    expect(lab.did).not.toContain('settle')
    expect(lab.relay.role).toBe('standby')
  })

  it('prunes each minute, and tidies now and then, a bounded amount at a time', async () => {
    const lab = await new Lab().settled()
    expect((await lab.after(60_000)).filter((line) => line.startsWith('prune'))).toEqual(['prune 600000'])
    await lab.after(600_000)
    expect(lab.tidies).toBe(3)
  })
})

describe('ticks', () => {
  it('count up with every look at the database, after its fences', async () => {
    const lab = await new Lab().settled()
    const before = await lab.tickOf('one')
    lab.pages.push({ ...EMPTY, changes: changed(1) })
    const fence = lab.cache.pause('before fence')
    await lab.after(100)
    await fence.reached
    expect(await lab.tickOf('one'), 'not before the fences').toEqual(before)
    fence.resume()
    await settle()
    expect(await lab.tickOf('one')).toEqual({ ...before, number: (before?.number ?? 0) + 1 })
  })

  it('begin anew with the next leader, who needs no replay where the last one left its tick', async () => {
    const lab = await new Lab().settled()
    const first = await lab.tickOf('one')
    lab.events.events.length = 0
    const next = lab.makeRelay('p2')
    await lab.relay.close()
    next.start()
    await lab.after(300)
    const second = await lab.tickOf('one')
    expect(second?.chain).not.toBe(first?.chain)
    expect(second?.server).toBe(first?.server)
    expect(lab.did.filter((line) => line.startsWith('replay'))).toEqual([])
    const closing = next.close()
    await lab.after(2_000)
    await closing
  })
})

describe('a shard', () => {
  it('gets the window again when its replica was made primary, and no tick before that', async () => {
    const lab = await new Lab(['one', 'two']).settled()
    lab.servers.promote('two')
    lab.replayed.push({ ...EMPTY, changes: changed(11, 12, 13), hasMore: true }, { ...EMPTY, changes: changed(15) })
    const fence = lab.cache.pause('before fence')
    await lab.after(100)
    await fence.reached
    expect((await lab.tickOf('two'))?.server, 'what the replica had').toBe('two-0')
    fence.resume()
    const did = await lab.after(1_000)
    expect(did.filter((line) => line.startsWith('fence'))).toEqual(['fence 11 13', 'fence 15'])
    expect(did.indexOf('settle')).toBeGreaterThan(did.indexOf('fence 15'))
    expect((await lab.tickOf('two'))?.server).toBe('two-1')
    expect(lab.standings).toEqual(['two replaying', 'two current'])
    expect(lab.events.of('relay.replayed')).toHaveLength(1)
  })

  it('that is promoted while it gets the window gets it once more', async () => {
    const lab = await new Lab(['one', 'two']).settled()
    lab.servers.promote('two')
    lab.replayed.push({ ...EMPTY, changes: changed(11), hasMore: true }, { ...EMPTY, hasMore: true })
    const fence = lab.cache.pause('before fence')
    await lab.after(100)
    await fence.reached
    lab.servers.promote('two')
    fence.resume()
    expect((await lab.after(2_000)).filter((line) => line.startsWith('replay'))).toHaveLength(1)
    expect((await lab.tickOf('two'))?.server).toBe('two-2')
  })

  it('that does not answer holds up the others for a second, and gets the window when it is back', async () => {
    const lab = await new Lab(['one', 'two']).settled()
    lab.servers.takeDown('two')
    lab.pages.push({ ...EMPTY, changes: changed(10, 11) }, { ...EMPTY, changes: changed(12, 13) })
    await lab.after(2_000)
    const before = await lab.tickOf('one')
    lab.pages.push({ ...EMPTY, changes: changed(14, 15) })
    expect(await lab.after(100), 'the other shard goes on').toEqual(['fence 14'])
    expect((await lab.tickOf('one'))?.number).toBe((before?.number ?? 0) + 1)
    expect(lab.events.of('relay.beat').at(-1)).toMatchObject({ away: 1 })
    lab.servers.bringUp('two')
    lab.replayed.push({ ...EMPTY, changes: changed(10, 11, 12, 13, 14, 15) })
    const did = await lab.after(2_000)
    expect(did.filter((line) => !line.startsWith('prune')).slice(0, 3)).toEqual([
      'replay 300000',
      'fence 11 13 15',
      'settle',
    ])
    expect(lab.standings).toEqual(['two away', 'two replaying', 'two current'])
  })

  it('that is the only one is waited for: the page is delivered when it is back, and nothing comes again', async () => {
    const lab = await new Lab().settled()
    lab.servers.takeDown('one')
    lab.pages.push({ ...EMPTY, changes: changed(1) })
    await lab.after(30_000)
    lab.servers.bringUp('one')
    const did = await lab.after(2_000)
    expect(did).toEqual(expect.arrayContaining(['fence 1', 'settle']))
    expect(did.filter((line) => line.startsWith('replay'))).toEqual([])
    expect(lab.standings).toEqual([])
  })

  it('gets the window when keys have moved to it from one that may have lost fences', async () => {
    const lab = await new Lab(['one', 'two']).settled()
    lab.servers.tellMove('two', 'one')
    expect(
      (await lab.after(500)).filter((line) => line.startsWith('replay')),
      'from a shard that has all',
    ).toEqual([])
    lab.servers.takeDown('two')
    await lab.after(2_000)
    lab.servers.tellMove('two', 'one')
    expect((await lab.after(500)).filter((line) => line.startsWith('replay'))).toHaveLength(1)
    expect(lab.standings).toEqual(['two away', 'one replaying', 'one current'])
  })
})
