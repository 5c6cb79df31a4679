import { describe, expect, it } from 'vitest'
import { Fleet } from '../support/fleet.js'
import { settle } from '../support/manual-clock.js'
import { expectNothingLeft } from '../support/nothing-left.js'

const LOST = ['guard', 'entry', 'guard and entry'] as const
const MOMENTS = [
  'before the load',
  'after the load',
  'after the commit',
  'after the fence',
  'after the fill',
  'at the end',
] as const

describe('losing the guard or the entry is safe', () => {
  expectNothingLeft()

  for (const lost of LOST) {
    for (const moment of MOMENTS) {
      for (const wasCached of [false, true]) {
        it(`${lost} ${moment}, ${wasCached ? 'with an entry to refresh' : 'on a cold key'}`, async () => {
          const fleet = new Fleet({ freshMs: 10_000 })
          const [reader, writer, other] = [fleet.start(), fleet.start(), fleet.start()]
          fleet.table.put('42', 1)
          if (wasCached) {
            await reader.read('42')
            await fleet.clock.advance(10_000)
          }
          const losesAt = async (now: (typeof MOMENTS)[number]) => {
            if (now !== moment) return
            if (lost !== 'entry') await fleet.evictGuards()
            if (lost !== 'guard') await fleet.evictEntries()
          }
          const select = fleet.table.pause('before load')
          const fill = reader.cache.pause('before fill')
          const reading = reader.read('42')
          await select.reached
          await losesAt('before the load')
          select.resume()
          await reading
          await fill.reached
          await losesAt('after the load')
          const change = fleet.table.put('42', 2)
          await losesAt('after the commit')
          await writer.fence(change)
          await losesAt('after the fence')
          fill.resume()
          await settle()
          await losesAt('after the fill')
          expect((await other.read('42'))?.price).toBe(2)
          await settle()
          await losesAt('at the end')
          for (const process of [reader, writer, other]) expect((await process.read('42'))?.price).toBe(2)
        })
      }
    }
  }
})
