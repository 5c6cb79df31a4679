import { describe, expect, it } from 'vitest'
import type { Change } from '../../../src/core/change.js'
import type { ChangeFeed, ChangePage, ChangeSource, SourceChange } from '../../../src/core/ports.js'
import type { Version } from '../../../src/core/version.js'
import { Relay } from '../../../src/jobs/relay.js'
import { ManualClock, settle } from '../../support/manual-clock.js'
import { Recorder } from '../../support/recorder.js'
import { plainChance } from '../../support/seeded-chance.js'

const EMPTY: ChangePage = { changes: [], hasMore: false, isGap: false, lagMs: 0 }
const changed = (...ids: string[]): SourceChange[] =>
  ids.map((id) => ({
    kind: 'row',
    entity: 'public.products',
    id: [id],
    xid: '7',
    version: '5' as Version,
    absent: false,
    lookups: [],
    values: [],
  }))

/** A relay over pages a test hands it, which writes down what it does in which order. */
class Lab {
  readonly clock = new ManualClock()
  readonly events = new Recorder()
  readonly did: string[] = []
  readonly pages: ChangePage[] = []
  fences: 'fenced' | 'pending' = 'fenced'
  epochReaches = true
  leader = true
  epoch = 3
  readonly relay: Relay

  constructor() {
    const source: ChangeSource = {
      read: async () => this.pages.shift() ?? EMPTY,
      settle: async () => void this.did.push('settle'),
      rewind: async () => {},
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
    this.relay = new Relay({
      feed,
      namespace: 'shop',
      clock: this.clock,
      chance: plainChance(0.5),
      emit: this.events.emit,
      settings: { pollMs: 100, electionMs: 1_000, keepMs: 600_000 },
      fence: async (changes: readonly Change[]) => {
        const rows = changes.filter(({ hasFloor }) => hasFloor).map(({ key }) => key.replace(/.*\/(\w+)}/, '$1'))
        this.did.push(`fence ${rows.join(' ')} ${this.fences}`)
        return this.fences
      },
      epoch: {
        number: 0,
        publish: async (number) => {
          if (!this.epochReaches) throw new Error('away')
          if (this.did.at(-1) !== 'settle' || number > 3) this.did.push(`epoch ${number}`)
        },
      },
    })
  }

  async start(): Promise<this> {
    this.relay.start()
    await settle()
    this.did.length = 0
    return this
  }

  /** What the relay did meanwhile. */
  async after(ms: number): Promise<string[]> {
    await this.clock.advance(ms)
    await settle()
    return this.did.splice(0)
  }
}

describe('the relay', () => {
  it('settles only after the cache has acknowledged the fences, and asks until it does', async () => {
    const lab = await new Lab().start()
    lab.fences = 'pending'
    lab.pages.push({ ...EMPTY, changes: changed('a', 'b'), lagMs: 12 })
    expect(await lab.after(100)).toEqual(['fence a b pending'])
    expect(await lab.after(5_000)).not.toContain('settle')
    expect(lab.relay.figures).toEqual({ pending: 2, ageMs: 5_100 })
    lab.fences = 'fenced'
    expect(await lab.after(1_000)).toEqual(expect.arrayContaining(['fence a b fenced', 'settle']))
    expect(lab.events.of('relay.batch')).toMatchObject([{ changes: 2, keys: 4, lagMs: 12 }])
    expect(lab.relay.figures.pending).toBe(0)
    expect(lab.relay.figures.ageMs).toBeLessThanOrEqual(100)
    await close(lab)
    expect(lab.relay.figures).toEqual({ pending: 0, ageMs: 0 })
  })

  it('settles after the last page of what it found, not between', async () => {
    const lab = await new Lab().start()
    lab.pages.push({ ...EMPTY, changes: changed('a'), hasMore: true }, { ...EMPTY, changes: changed('b') })
    expect(await lab.after(100)).toEqual(['fence a fenced', 'fence b fenced', 'settle'])
    await close(lab)
  })

  it('raises the epoch for what is not told row by row, and settles when everybody could know', async () => {
    const lab = await new Lab().start()
    lab.epochReaches = false
    lab.pages.push({ ...EMPTY, changes: [...changed('a'), { kind: 'truncate', entity: 'public.products' }] })
    expect(await lab.after(3_000)).toEqual(['fence a fenced'])
    lab.epochReaches = true
    expect((await lab.after(1_000)).slice(0, 2)).toEqual(['epoch 4', 'settle'])
    lab.pages.push({ ...EMPTY, isGap: true })
    expect((await lab.after(100)).slice(0, 2)).toEqual(['epoch 5', 'settle'])
    await close(lab)
  })

  it('looks more often while there is something to find, and settles an idle position each second', async () => {
    const lab = await new Lab().start()
    for (const id of ['a', 'b', 'c']) lab.pages.push({ ...EMPTY, changes: changed(id) })
    expect(await lab.after(100)).toHaveLength(2)
    expect(await lab.after(25)).toHaveLength(2)
    expect(await lab.after(25)).toHaveLength(2)
    expect(await lab.after(3_000)).toEqual(['settle', 'settle'])
    await close(lab)
  })

  it('asks again for the lead, and says who has it', async () => {
    const lab = new Lab()
    lab.leader = false
    await lab.start()
    expect(lab.relay.role).toBe('standby')
    lab.leader = true
    await lab.after(1_000)
    expect(lab.relay.role).toBe('leader')
    await close(lab)
    expect(lab.events.of('relay.leader').map(({ state }) => state)).toEqual(['gained', 'lost'])
  })

  it('closes without settling what the cache has not acknowledged', async () => {
    const lab = await new Lab().start()
    lab.fences = 'pending'
    lab.pages.push({ ...EMPTY, changes: changed('a') })
    await lab.after(100)
    await close(lab)
    expect(lab.did).not.toContain('settle')
    expect(lab.relay.role).toBe('standby')
  })
})

async function close(lab: Lab): Promise<void> {
  await lab.relay.close()
  expect(lab.clock.timers).toBe(0)
}
