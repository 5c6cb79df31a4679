import { describe, expect, it } from 'vitest'
import type { CacheKey } from '../../../src/core/key.js'
import type { Version } from '../../../src/core/version.js'
import { Floors, mayBeBelowFloor } from '../../../src/engine/floors.js'

const key = (name: string) => name as CacheKey
const version = (digits: string) => digits as Version

describe('Floors', () => {
  it('only ever rise', () => {
    const floors = new Floors(10)
    floors.raise(key('a'), version('9'), false)
    floors.raise(key('a'), version('10'), false)
    floors.raise(key('a'), version('9'), false)
    expect(floors.get(key('a'))).toEqual({ version: '10', absent: false })
    expect(floors.get(key('b'))).toBeUndefined()
  })

  it('compare stamps exactly', () => {
    const floors = new Floors(10)
    floors.raise(key('a'), version('9223372036854775806'), false)
    floors.raise(key('a'), version('9223372036854775807'), false)
    floors.raise(key('a'), version('9223372036854775806'), true)
    expect(floors.get(key('a'))).toEqual({ version: '9223372036854775807', absent: false })
  })

  it('are one object until something changes, so that a change is noticed by looking at it', () => {
    const floors = new Floors(10)
    floors.raise(key('a'), version('5'), false)
    const before = floors.get(key('a'))
    floors.raise(key('a'), version('5'), false)
    expect(floors.get(key('a'))).toBe(before)
    floors.raise(key('a'), version('5'), true)
    expect(floors.get(key('a'))).not.toBe(before)
  })

  /**
   * Found by the simulator: the row this process knew was changed and then deleted by others whose messages were lost. It sees the
   * absence at the database, and a cached row from in between, whose fence is on its way, must not be shown for being above the floor.
   */
  it('refuse a row that came and went unheard before the absence that this process saw for itself', () => {
    const floors = new Floors(10)
    floors.raise(key('a'), version('5'), false)
    floors.seeAbsence(key('a'))
    expect(floors.get(key('a'))?.isUnordered).toBe(true)
  })

  /** Found by the simulator: the process knew of a deletion, and not of the row that came and went after it. */
  it('refuse it too where this process knew already that an earlier row was gone', () => {
    const floors = new Floors(10)
    floors.raise(key('a'), version('6'), true)
    floors.seeAbsence(key('a'))
    expect(floors.get(key('a'))).toEqual({ version: '6', absent: true, isUnordered: true })
  })

  it('allow an absence that this process saw for itself, but not what was there before', () => {
    const floors = new Floors(10)
    floors.raise(key('a'), version('5'), false)
    floors.seeAbsence(key('a'))
    expect(floors.get(key('a'))).toEqual({ version: '6', absent: true, isUnordered: true })
    floors.seeAbsence(key('a'))
    expect(floors.get(key('a'))).toEqual({ version: '6', absent: true, isUnordered: true })
    floors.raise(key('a'), version('5'), false)
    expect(floors.get(key('a')), 'older news').toEqual({ version: '6', absent: true, isUnordered: true })
    floors.raise(key('a'), version('6'), true)
    expect(floors.get(key('a')), 'the deletion itself').toEqual({ version: '6', absent: true })
  })

  /** Found by the simulator: a slow load that was read before the deletion came back after another one had seen the absence. */
  it('do not take a row for the newer one whose load began before this process saw that it is gone', () => {
    const floors = new Floors(10)
    const loaded = { value: {}, version: version('5') }
    const before = floors.get(key('a'))
    floors.seeAbsence(key('a'))
    const seen = floors.get(key('a'))
    expect(mayBeBelowFloor(seen, before, loaded)).toBe(true)
    expect(mayBeBelowFloor(seen, seen, loaded), 'loaded since then: it has come back').toBe(false)
    expect(mayBeBelowFloor(seen, before, { value: undefined, version: undefined }), 'gone, still').toBe(false)
  })

  /** An absence that was seen ends the copy in memory, and that says what it was. */
  it('do not take for news what memory lets go of because the row is gone', () => {
    const floors = new Floors(10)
    floors.seeAbsence(key('a'))
    floors.isLetGo(key('a'), version('5'))
    expect(floors.get(key('a'))).toEqual({ version: '6', absent: true, isUnordered: true })
    floors.isLetGo(key('a'), version('3'))
    expect(floors.get(key('a'))).toEqual({ version: '6', absent: true, isUnordered: true })
  })

  it('know of an absence without a version until one is told', () => {
    const floors = new Floors(2)
    floors.seeAbsence(key('a'))
    expect(floors.get(key('a'))).toEqual({ version: '0', absent: true, isUnordered: true })
    floors.raise(key('a'), version('0'), true)
    expect(floors.get(key('a'))).toEqual({ version: '0', absent: true })
    for (const name of ['b', 'c']) floors.seeAbsence(key(name))
    expect(floors.get(key('a')), 'bounded as all floors are').toBeUndefined()
  })

  /** A relay tells of every change once more, and late: the row may have been deleted since, and the absence be newer than what it tells of. */
  it('take no word for newer than an absence that was seen', () => {
    const floors = new Floors(10)
    floors.seeAbsence(key('a'))
    floors.hear(key('a'), version('5'), false)
    expect(floors.get(key('a')), 'neither a cached row nor a cached absence').toEqual({
      ...{ version: '5', absent: false, isUnordered: true },
    })
    floors.hear(key('a'), version('4'), true)
    expect(floors.get(key('a'))?.version).toBe('5')
    floors.seeAbsence(key('a'))
    expect(floors.get(key('a')), 'gone, again').toEqual({ version: '6', absent: true, isUnordered: true })
    floors.raise(key('a'), version('7'), false)
    expect(floors.get(key('a')), 'the database has shown it').toEqual({ version: '7', absent: false })
    floors.hear(key('a'), version('8'), true)
    expect(floors.get(key('a'))).toEqual({ version: '8', absent: true })
  })

  it('know that a row is back when one at the floor is shown', () => {
    const floors = new Floors(10)
    floors.raise(key('a'), version('6'), true)
    floors.raise(key('a'), version('6'), false)
    expect(floors.get(key('a'))).toEqual({ version: '6', absent: false })
  })

  it('forget the key that was raised longest ago, when there are too many', () => {
    const floors = new Floors(3)
    for (const name of ['a', 'b', 'c']) floors.raise(key(name), version('1'), false)
    floors.raise(key('a'), version('2'), false)
    floors.raise(key('d'), version('1'), false)
    expect(['a', 'b', 'c', 'd'].map((name) => floors.get(key(name))?.version)).toEqual(['2', undefined, '1', '1'])
  })

  it('can be cleared, one or all', () => {
    const floors = new Floors(3)
    for (const name of ['a', 'b']) floors.raise(key(name), version('1'), false)
    floors.clear(key('a'))
    expect(floors.get(key('a'))).toBeUndefined()
    expect(floors.get(key('b'))).toBeDefined()
    floors.clearAll()
    expect(floors.get(key('b'))).toBeUndefined()
  })

  describe('of keys that no version orders', () => {
    const fenced = (...names: string[]) => names.map((name) => ({ key: key(name), version: null }))

    it('are the moment of the last fence', () => {
      const floors = new Floors(2)
      floors.haveFenced(fenced('a'), 1_000.9)
      expect(floors.wasFencedSince(key('a'), 999, 1_001)).toBe(true)
      expect(floors.wasFencedSince(key('a'), 1_000, 1_001)).toBe(false)
      floors.haveFenced(fenced('b', 'a', 'c'), 2_000)
      expect(floors.wasFencedSince(key('a'), 1_999, 2_000), 'fenced anew').toBe(true)
      expect(floors.wasFencedSince(key('b'), 1_999, 2_000), 'fenced longest ago, and forgotten').toBe(false)
      floors.haveFenced([{ key: key('row'), version: version('5') }], 2_000)
      expect(floors.wasFencedSince(key('row'), 1_999, 2_000), 'its version is its floor').toBe(false)
      floors.clearAll()
      expect(floors.wasFencedSince(key('c'), 0, 2_000)).toBe(false)
    })

    it('are forgotten when the clock of the store was set back: nothing would be new enough for so long', () => {
      const floors = new Floors(2)
      floors.haveFenced(fenced('a'), 10_000)
      expect(floors.wasFencedSince(key('a'), 9_100, 9_100), 'as far as estimates of it may differ').toBe(true)
      expect(floors.wasFencedSince(key('a'), 6_000, 6_000)).toBe(false)
      expect(floors.wasFencedSince(key('a'), 9_999, 9_999)).toBe(false)
    })
  })
})
