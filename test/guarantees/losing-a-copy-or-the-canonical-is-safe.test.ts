import { describe, expect, it } from 'vitest'
import type { CacheKey } from '../../src/core/key.js'
import { HotFleet, readAll } from '../support/hot-fleet.js'
import { settle } from '../support/manual-clock.js'
import { expectNothingLeft } from '../support/nothing-left.js'

const LOST = ['the copy', 'another copy', 'the entry', 'every entry', 'every guard', 'everything'] as const
const MOMENTS = [
  'before the copy is leased',
  'before the entry is read',
  'after the entry was read',
  'after the commit',
  'between the fences',
  'after the fences',
  'after the fill',
  'at the end',
] as const

describe("losing a hot key's copy or the entry it is made of is safe", () => {
  expectNothingLeft()

  for (const lost of LOST) {
    for (const moment of MOMENTS) {
      for (const wasMade of [false, true]) {
        it(`${lost} ${moment}, ${wasMade ? 'with copies' : 'before there is a copy'}`, async () => {
          const fleet = new HotFleet()
          const [maker, second, third] = fleet.startAll() as [Process, Process, Process]
          const [beside, writer] = [fleet.startOn(0), fleet.start()]
          const readers = [maker, second, third, beside]
          const [copy, another] = fleet.copiesOf(maker) as [CacheKey, CacheKey]
          const keys = [maker.keyOf('42'), ...fleet.copiesOf(maker)]
          const losesAt = async (now: (typeof MOMENTS)[number]) => {
            if (now !== moment) return
            if (lost === 'the copy') await fleet.evictEntry(copy, keys)
            if (lost === 'another copy') await fleet.evictEntry(another, keys)
            if (lost === 'the entry') await fleet.evictEntry(keys[0] as CacheKey, keys)
            if (lost === 'every entry' || lost === 'everything') await fleet.evictEntries()
            if (lost === 'every guard' || lost === 'everything') await fleet.evictGuards()
          }
          await fleet.heat(...readers)
          if (wasMade) {
            await readAll(readers)
            // Time for the copies to end, so that the next reader makes one anew.
            await fleet.clock.advance(5_000)
          }

          const lease = maker.cache.pause('before lease')
          const reading = maker.read('42')
          await lease.reached
          await losesAt('before the copy is leased')
          const look = maker.cache.pause('before read')
          lease.resume()
          await reading
          await look.reached
          await losesAt('before the entry is read')
          const fill = maker.cache.pause('before fill')
          look.resume()
          await Promise.race([fill.reached, settle()])
          await losesAt('after the entry was read')
          const change = fleet.table.put('42', 2)
          await losesAt('after the commit')
          writer.cache.pause('before fence').resume()
          const between = writer.cache.pause('before fence')
          const writing = writer.fence(change)
          await between.reached
          await losesAt('between the fences')
          between.resume()
          expect(await writing).toBe('fenced')
          await losesAt('after the fences')
          fill.resume()
          await settle()
          await losesAt('after the fill')
          expect(await readAll(readers)).toEqual([2, 2, 2, 2])
          await losesAt('at the end')
          expect(await readAll(readers)).toEqual([2, 2, 2, 2])
          expect(await fleet.prices(keys)).not.toContain(1)
        })
      }
    }
  }
})

type Process = ReturnType<HotFleet['startOn']>
