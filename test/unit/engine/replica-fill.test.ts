import { describe, expect, it } from 'vitest'
import type { CorralEvent } from '../../../src/core/events.js'
import type { CacheKey } from '../../../src/core/key.js'
import type { FillOutcome } from '../../../src/core/ports.js'
import type { Version } from '../../../src/core/version.js'
import { Floors } from '../../../src/engine/floors.js'
import type { EngineParts, ReadSource } from '../../../src/engine/read-source.js'
import { ReplicaFill } from '../../../src/engine/replica-fill.js'
import type { Sealer } from '../../../src/engine/sealer.js'
import { ManualClock, settle } from '../../support/manual-clock.js'

const KEY = 'shop:{public.products/1}' as CacheKey
const VERSION = '5' as Version
const ROW = { value: { id: 1 }, version: VERSION, snapshot: '9:9:', loadedFrom: 'standby' } as const

/** A fill from a standby that shows version 5 of the row, and a store that takes it when it is told to. */
function open() {
  const floors = new Floors(10)
  const events: CorralEvent[] = []
  const answers: ((outcome: FillOutcome) => void)[] = []
  const parts = {
    ...{
      floors,
      clock: new ManualClock(),
      epoch: () => '00000000',
      emit: (event: CorralEvent) => void events.push(event),
    },
    store: { nowMs: () => 0, fill: () => new Promise<FillOutcome>((resolve) => answers.push(resolve)) },
    replica: { limitMs: 1_000, isUsable: () => true, storableForMs: () => 1_000, resume: () => {}, pause: () => {} },
  }
  const source = { entity: 'public.products', loadFromReplica: async () => ROW }
  const sealer = {
    seal: () => ({ sealed: new Uint8Array(), version: VERSION, keepMs: 1, freshMs: 1_000, sizeBytes: 1 }),
  }
  const replica = ReplicaFill.of(
    parts as unknown as EngineParts,
    source as unknown as ReadSource<number, object>,
    sealer as unknown as Sealer<object>,
  )
  const attempt = () => replica?.attempt({ key: KEY, id: 1, token: 'a', useless: false, reason: 'miss' })
  const skipped = () => events.flatMap((event) => (event.type === 'replica.skipped' ? [event.reason] : []))
  return { floors, answers, attempt, skipped }
}

describe('a row that a standby shows', () => {
  it('is shown when the store has taken it', async () => {
    const { answers, attempt, skipped } = open()
    const filled = attempt()
    await settle()
    answers[0]?.('filled')
    expect((await filled)?.loaded).toBe(ROW)
    expect(skipped()).toEqual([])
  })

  it('is not stored where this process has seen at the primary that there is none: it may be from before', async () => {
    const { floors, answers, attempt, skipped } = open()
    floors.seeAbsence(KEY)
    expect(await attempt()).toBeUndefined()
    expect(answers).toEqual([])
    expect(skipped()).toEqual(['floor'])
  })

  it('nor shown where that was seen while it was stored', async () => {
    const { floors, answers, attempt, skipped } = open()
    const filled = attempt()
    await settle()
    floors.seeAbsence(KEY)
    answers[0]?.('filled')
    expect(await filled).toBeUndefined()
    expect(skipped()).toEqual(['floor'])
  })
})
