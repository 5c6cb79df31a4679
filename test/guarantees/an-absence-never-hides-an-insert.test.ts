import { describe, expect, it } from 'vitest'
import { Fleet } from '../support/fleet.js'
import { settle } from '../support/manual-clock.js'
import { expectNothingLeft } from '../support/nothing-left.js'

describe('an absence never hides an insert', () => {
  expectNothingLeft()

  it('that was fenced while the fill of the absence was under way', async () => {
    const fleet = new Fleet()
    const [reader, writer] = [fleet.start(), fleet.start()]
    const fill = reader.cache.pause('before fill')
    expect(await reader.read('42')).toBeUndefined()
    await fill.reached
    await writer.write('42', 1)
    fill.resume()
    await settle()
    expect((await reader.read('42'))?.price).toBe(1)
    expect((await writer.read('42'))?.price).toBe(1)
    expect(reader.events.story()).toMatchInlineSnapshot(`
      "
      1 miss nothing
      2 load 1 id
      3 fill miss lease-lost
      4 miss nothing
      5 load 1 id
      6 fill miss filled
      "
    `)
  })

  it('that came after the absence was cached', async () => {
    const fleet = new Fleet()
    const [reader, writer] = [fleet.start(), fleet.start()]
    expect(await reader.read('42')).toBeUndefined()
    await settle()
    expect(await writer.read('42'), 'from the cache').toBeUndefined()
    expect(fleet.table.loads).toHaveLength(1)
    await writer.write('42', 1)
    expect((await reader.read('42'))?.price).toBe(1)
  })

  it('from the process that made it, although the cache could not be told', async () => {
    const fleet = new Fleet()
    const [reader, writer] = [fleet.start(), fleet.start()]
    expect(await reader.read('42')).toBeUndefined()
    await settle()
    writer.cache.breakNext('fence', 'fail')
    expect(await writer.write('42', 1)).toBe('pending')
    expect((await writer.read('42'))?.price).toBe(1)
    await fleet.clock.advance(50)
    expect((await reader.read('42'))?.price, 'told at the first retry').toBe(1)
  })

  it('that this process has shown before, when the cache falls back to the absence', async () => {
    const fleet = new Fleet()
    const [reader, other] = [fleet.start(), fleet.start()]
    expect(await other.read('42')).toBeUndefined()
    await settle()
    const [absence] = await fleet.store.read([reader.keyOf('42')])
    await other.write('42', 1)
    expect((await reader.read('42'))?.price).toBe(1)
    await settle()
    await fleet.plant(reader.keyOf('42'), (absence as Uint8Array).subarray(15))
    expect((await reader.read('42'))?.price).toBe(1)
  })

  it('for longer than its own short lifetime, where nobody fences', async () => {
    const fleet = new Fleet({ absentMs: 15_000 })
    const reader = fleet.start()
    expect(await reader.read('42')).toBeUndefined()
    fleet.table.put('42', 1)
    await fleet.clock.advance(15_000)
    expect((await reader.read('42'))?.price).toBe(1)
  })
})
