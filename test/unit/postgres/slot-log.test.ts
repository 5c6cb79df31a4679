import { describe, expect, it } from 'vitest'
import type { SlotChange } from '../../../src/adapters/postgres/slot-decoder.js'
import { SlotLog } from '../../../src/adapters/postgres/slot-log.js'

function lab(maxChanges = 100) {
  const log = new SlotLog({ maxChanges, start: 10n })
  const add = (endLsn: bigint, rows = 1) => {
    const changes = Array.from({ length: rows }, () => ({ op: 'insert', row: {} }) as unknown as SlotChange)
    log.add({ xid: Number(endLsn), committedAtMs: 0, endLsn, changes })
  }
  const places = (changes: readonly { endLsn: bigint }[] | undefined) => changes?.map(({ endLsn }) => Number(endLsn))
  return { log, add, places }
}

describe('what a slot has told', () => {
  it('is read once, in order, a page at a time', () => {
    const { log, add, places } = lab()
    add(20n, 2)
    add(30n)
    expect(places(log.next(2))).toEqual([20, 20])
    expect(log.unread).toBe(1)
    expect(places(log.next(2))).toEqual([30])
    expect(log.next(2)).toEqual([])
  })

  it('can be had again from any place it still reaches back to', () => {
    const { log, add, places } = lab()
    for (const lsn of [20n, 30n, 40n]) add(lsn)
    log.next(9)
    expect(places(log.since(20n))).toEqual([30, 40])
    expect(places(log.since(10n))).toEqual([20, 30, 40])
    log.forgetUpTo(20n)
    expect(places(log.since(20n))).toEqual([30, 40])
    expect(log.since(10n), 'some of it is gone').toBeUndefined()
  })

  it('is not forgotten before it has been read', () => {
    const { log, add, places } = lab()
    for (const lsn of [20n, 30n]) add(lsn)
    log.next(1)
    log.forgetUpTo(30n)
    expect(places(log.next(9))).toEqual([30])
  })

  it('counts as read where an earlier relay has done it', () => {
    const { log, add, places } = lab()
    for (const lsn of [20n, 30n, 40n]) add(lsn)
    log.skipTo(30n)
    expect(places(log.next(9))).toEqual([40])
    expect(places(log.since(10n))).toEqual([20, 30, 40])
  })

  it('loses its oldest beyond the bound, and says so when somebody asks for them', () => {
    const { log, add } = lab(10)
    for (let lsn = 20n; lsn < 60n; lsn++) {
      add(lsn)
      log.next(9)
    }
    expect(log.takeOverrun()).toBe(false)
    expect(log.since(10n)).toBeUndefined()
    expect(log.since(58n)).toHaveLength(1)
  })

  it('that nobody has read is given up as a whole beyond the bound, once', () => {
    const { log, add, places } = lab(10)
    for (let lsn = 20n; lsn < 40n; lsn++) add(lsn)
    expect(log.takeOverrun()).toBe(true)
    expect(log.takeOverrun()).toBe(false)
    expect(log.since(20n)).toBeUndefined()
    expect(log.unread).toBeLessThanOrEqual(11)
    log.next(100)
    add(50n)
    expect(places(log.next(9))).toEqual([50])
  })

  it('knows how far it reaches: by what has come, and by the word that nothing more will', () => {
    const { log, add } = lab()
    expect(log.received).toBe(10n)
    add(20n)
    expect(log.received).toBe(20n)
    log.passed(25n)
    log.passed(22n)
    expect(log.received).toBe(25n)
  })
})
