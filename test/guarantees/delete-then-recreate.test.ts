import { describe, expect, it } from 'vitest'
import { Fleet } from '../support/fleet.js'
import { settle } from '../support/manual-clock.js'
import { expectNothingLeft } from '../support/nothing-left.js'

describe('delete, then re-create', () => {
  expectNothingLeft()

  it('shows the row, its absence and the new row, each as soon as it was fenced', async () => {
    const fleet = new Fleet()
    const [writer, reader] = [fleet.start(), fleet.start()]
    await writer.write('42', 1)
    expect((await reader.read('42'))?.price).toBe(1)
    await writer.remove('42')
    expect(await reader.read('42')).toBeUndefined()
    expect(await writer.read('42')).toBeUndefined()
    await writer.write('42', 2)
    expect((await reader.read('42'))?.price).toBe(2)
    expect((await writer.read('42'))?.price).toBe(2)
  })

  it.each(['row', 'absence'])('leaves nothing of the %s that a paused fill brings late', async (late) => {
    const fleet = new Fleet()
    const [writer, reader] = [fleet.start(), fleet.start()]
    await writer.write('42', 1)
    if (late === 'absence') await writer.remove('42')
    const fill = reader.cache.pause('before fill')
    await reader.read('42')
    await fill.reached
    if (late === 'row') await writer.remove('42')
    await writer.write('42', 2)
    fill.resume()
    await settle()
    expect((await writer.read('42'))?.price).toBe(2)
    expect((await reader.read('42'))?.price).toBe(2)
  })

  it('keeps the deleted row from coming back to a process that has seen it go, whatever the cache holds', async () => {
    const fleet = new Fleet()
    const process = fleet.start()
    await process.write('42', 1)
    await process.read('42')
    await settle()
    const [copy] = await fleet.store.read([process.keyOf('42')])
    await process.remove('42')
    await fleet.plant(process.keyOf('42'), (copy as Uint8Array).subarray(15))
    expect(await process.read('42')).toBeUndefined()
  })
})
