import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { envelope, stamp } from '../../src/adapters/codec/envelope.js'
import type { Entry } from '../../src/core/entry.js'
import type { StoredBytes } from '../../src/core/ports.js'
import type { Version } from '../../src/core/version.js'
import { settle } from '../support/manual-clock.js'
import { endFleetsAfterEach, NearFleet } from '../support/near-fleet.js'
import type { NearProcess } from '../support/near-process.js'
import type { ModelChange } from '../support/table-model.js'

const PUBLISHES = { publishBytes: 1_000, l1: { maxEntries: 100 } }
const KEPT_MS = 60_000

describe('a published row is never older than acknowledged', () => {
  endFleetsAfterEach()

  /** A row in the store, read by nobody's memory but the first process'. */
  async function stored(settings: object = {}) {
    const fleet = new NearFleet({ ...PUBLISHES, ...settings })
    const [writer, other, reader] = [fleet.start(), fleet.start(), fleet.start()]
    await fleet.warm('42', 1, writer)
    return { fleet, writer, other, reader }
  }

  /** What the store holds of row 42: its price, or undefined. */
  async function priceStored(fleet: NearFleet, process: NearProcess): Promise<number | undefined> {
    const [bytes] = (await fleet.store.read([process.keyOf('42')])) as [StoredBytes | null]
    if (bytes === null) return undefined
    const text = Buffer.from(bytes).toString('latin1')
    return JSON.parse(text.slice(text.indexOf('{'))).price
  }

  it('it takes the place of an older entry, so that nobody loads it', async () => {
    const { fleet, writer, reader } = await stored()
    expect(await writer.write('42', 2)).toBe('fenced')
    expect(await priceStored(fleet, writer)).toBe(2)
    expect((await reader.read('42'))?.price).toBe(2)
    expect(fleet.table.loads).toHaveLength(1)
    expect(writer.events.of('fence').at(-1)).toMatchObject({ outcome: 'fenced', replaced: 1 })
  })

  it('but not the place of nothing: what nobody reads is not filled by writing it', async () => {
    const { fleet, writer } = await stored()
    fleet.table.put('43', 1)
    await writer.write('43', 2)
    expect((await fleet.store.read([writer.keyOf('43')]))[0]).toBeNull()
    await writer.remove('42')
    expect(await priceStored(fleet, writer)).toBeUndefined()
    await writer.write('42', 3)
    expect(await priceStored(fleet, writer)).toBeUndefined()
  })

  it('nor of a newer one: fences of two writers in any order leave the last', async () => {
    for (const order of ['older first', 'newer first', 'at once']) {
      const { fleet, writer, other, reader } = await stored()
      const older = fleet.table.put('42', 2)
      const newer = fleet.table.put('42', 3)
      // As if each had still seen its own row when it looked.
      writer.confirm = async () => older.version
      if (order === 'older first') await writer.fence(older)
      if (order === 'at once') await Promise.all([other.fence(newer), writer.fence(older)])
      else await other.fence(newer)
      if (order === 'newer first') await writer.fence(older)
      expect(await priceStored(fleet, writer), order).toBe(3)
      await settle()
      for (const process of [writer, other, reader]) expect((await process.read('42'))?.price, order).toBe(3)
    }
  })

  it('a fill that is under way does not undo it', async () => {
    const { fleet, writer, other } = await stored()
    await fleet.clock.advance(300_000)
    const fill = other.cache.pause('before fill')
    await other.read('42')
    await fill.reached
    await writer.write('42', 2)
    fill.resume()
    await settle()
    for (const process of [writer, other]) expect((await process.read('42'))?.price).toBe(2)
  })

  it('a row that something has changed once more within its transaction is not published', async () => {
    const { fleet, writer, reader } = await stored()
    const written = fleet.table.put('42', 2)
    // A trigger, or a statement past the SDK: no fence of its own will come.
    fleet.table.put('42', 3)
    expect(await writer.fence(written)).toBe('fenced')
    expect(await priceStored(fleet, writer)).toBeUndefined()
    expect((await reader.read('42'))?.price).toBe(3)
  })

  it('nor one of which nobody can say in time that it is still as written', async () => {
    for (const confirm of [async () => Promise.reject(new Error('gone')), () => new Promise<Version>(() => {})]) {
      const { fleet, writer, reader } = await stored()
      writer.confirm = confirm
      const writing = writer.write('42', 2)
      await fleet.clock.advance(50)
      expect(await writing, 'the fence does not wait for it').toBe('fenced')
      expect(await priceStored(fleet, writer)).toBeUndefined()
      expect((await reader.read('42'))?.price).toBe(2)
    }
  })

  it('of several writes of one transaction to one row only the last is published', async () => {
    const { fleet, writer, reader } = await stored()
    const transaction = fleet.table.begin()
    transaction.put('42', 2)
    transaction.put('42', 3)
    await writer.fence(...transaction.commit())
    expect(await priceStored(fleet, writer)).toBe(3)
    expect((await reader.read('42'))?.price).toBe(3)

    const second = fleet.table.begin()
    second.put('42', 4)
    second.remove('42')
    await writer.fence(...second.commit())
    expect(await priceStored(fleet, writer)).toBeUndefined()
    expect(await reader.read('42')).toBeUndefined()
  })

  it('a fence that comes late only drops: by then the row may be another one', async () => {
    const { fleet, writer, reader } = await stored()
    writer.cache.breakNext('fence', 'fail')
    expect(await writer.write('42', 2)).toBe('pending')
    fleet.table.put('42', 3)
    await fleet.clock.advance(1_000)
    expect(await priceStored(fleet, writer)).toBeUndefined()
    expect((await reader.read('42'))?.price).toBe(3)
  })

  it('a write of which nobody knows whether it was committed publishes nothing', async () => {
    const { fleet, writer } = await stored()
    await writer.fenceUnknown(fleet.table.put('42', 2), async () => 'committed')
    await settle()
    expect(await priceStored(fleet, writer)).toBeUndefined()
  })

  it('a row that is too large, or that has no stamp, is only dropped', async () => {
    for (const settings of [{ publishBytes: 10 }, { hasVersions: false }]) {
      const { fleet, writer } = await stored(settings)
      await writer.write('42', 2)
      expect(await priceStored(fleet, writer)).toBeUndefined()
    }
  })

  it('it lives as long as if it had been loaded', async () => {
    const { fleet, writer, reader } = await stored({ ttl: { freshMs: KEPT_MS } })
    await fleet.clock.advance(KEPT_MS - 1)
    await writer.write('42', 2)
    await fleet.clock.advance(KEPT_MS - 1)
    await reader.read('42')
    expect(fleet.table.loads).toHaveLength(1)
    await fleet.clock.advance(1)
    await reader.read('42')
    expect(fleet.table.loads).toHaveLength(2)
  })
})

describe('a published row in the memory of other processes', () => {
  endFleetsAfterEach()

  /** A row in the memory of two processes. */
  async function near(settings: object = {}, reading: object = {}) {
    const fleet = new NearFleet({ ...PUBLISHES, ...settings })
    // The reader first: it empties its memory when it comes to hear somebody who was there before it.
    const [reader, writer] = [fleet.start(reading), fleet.start()]
    await fleet.warm('42', 1, writer, reader)
    return { fleet, writer, reader }
  }

  it('takes the place of the one that is held, without a look at the cache', async () => {
    const { fleet, writer, reader } = await near()
    const looks = reader.cache.count('read')
    await writer.write('42', 2)
    await settle()
    expect(reader.holds('42')).toBe(true)
    expect((await reader.read('42'))?.price).toBe(2)
    expect(reader.cache.count('read')).toBe(looks)
    await writer.write('42', 3)
    await settle()
    expect((await reader.read('42'))?.price).toBe(3)
    expect(fleet.table.loads).toHaveLength(1)
  })

  it('but not the place of nothing', async () => {
    const { fleet, writer } = await near()
    const late = fleet.start()
    await settle()
    await writer.write('42', 2)
    await settle()
    expect(late.holds('42')).toBe(false)
    expect((await late.read('42'))?.price).toBe(2)
  })

  it('nor of a newer one, in whatever order the messages come', async () => {
    const { fleet, writer, reader } = await near()
    const second = fleet.start()
    await settle()
    writer.channel?.breakNext({ delayMs: 100 })
    await writer.write('42', 2)
    await second.write('42', 3)
    await settle()
    expect((await reader.read('42'))?.price).toBe(3)
    await fleet.clock.advance(100)
    expect((await reader.read('42'))?.price).toBe(3)
  })

  it('is taken from a process that was never heard before', async () => {
    const { reader } = await near()
    reader.channel?.deliver(await published())
    expect(reader.holds('42')).toBe(true)
    expect((await reader.read('42'))?.price).toBe(99)
  })

  const sealedAnew =
    (change: (entry: Entry) => Partial<Entry>) =>
    (entry: string): string => {
      const opened = envelope.open(Buffer.from(entry, 'base64')) as Entry
      const changed = { ...opened, ...change(opened) }
      return Buffer.from(stamp(envelope.seal(changed), changed.filledAtMs)).toString('base64')
    }

  it.each<[string, (entry: string) => unknown]>([
    ['of another shape', sealedAnew(() => ({ shape: '00000001' }))],
    ['of another epoch', sealedAnew(() => ({ epoch: '00000001' }))],
    ['of another kind', sealedAnew(() => ({ kind: 'lookup' }))],
    ['that is an absence', sealedAnew(() => ({ kind: 'absent', version: undefined, snapshot: '7:7:' }))],
    ['that is past its time', sealedAnew(({ filledAtMs }) => ({ filledAtMs: filledAtMs - 300_000 }))],
    ['cut short', (entry) => entry.slice(0, entry.length / 2)],
    ['with one byte changed', (entry) => `${entry.slice(0, -6)}AAAAAA`],
    ['that is no base64', () => '%%%'],
    ['that is empty', () => ''],
    ['that is no text', () => 5],
    ['of the wrong type', () => ({ entry: true })],
  ])('%s is only dropped', async (_, spoil) => {
    const { reader } = await near()
    reader.channel?.deliver(await published((message) => (message.entry = spoil(message.entry as string))))
    expect(reader.holds('42')).toBe(false)
    expect(reader.events.count('bus.flush'), 'nor anything else').toBe(1)
    expect(reader.events.count('background.failed')).toBe(0)
    expect((await reader.read('42'))?.price).toBe(1)
  })

  it('with another stamp than the one it is announced under is only dropped', async () => {
    const { reader } = await near()
    reader.channel?.deliver(await published((message) => (message.version = String(BigInt(message.version) + 1n))))
    expect(reader.holds('42')).toBe(false)
  })

  it('is not kept past its time, however late its message', async () => {
    const { fleet, writer, reader } = await near({ ttl: { freshMs: 2_000 } })
    // Messages and heartbeats alike wait in the socket of a process that is busy.
    reader.channel?.holdIncoming()
    await writer.write('42', 2)
    await fleet.clock.advance(1_500)
    reader.channel?.releaseIncoming()
    expect(reader.holds('42')).toBe(true)
    await fleet.clock.advance(499)
    expect(reader.holds('42')).toBe(true)
    await fleet.clock.advance(1)
    expect(reader.holds('42')).toBe(false)
  })

  it('does not come back by a reply that was on its way', async () => {
    const { fleet, writer, reader } = await near({ l1: { maxEntries: 100, maxAgeMs: 1_000 } })
    await fleet.clock.advance(1_000)
    const reply = reader.cache.pause('after read')
    const reading = reader.read('42')
    await reply.reached
    await writer.write('42', 2)
    await settle()
    reply.resume()
    await reading
    await settle()
    expect((await reader.read('42'))?.price).toBe(2)
  })
})

/** What a message says of row 42. */
interface Said {
  version: string
  entry: unknown
}

/**
 * The message by which a process of another fleet tells of a write of row 42 that is newer than any in the one under test, spoilt or
 * not. It is that process' first word, so that there is no gap to empty anybody's memory.
 */
async function published(spoil: (said: Said) => void = () => {}): Promise<string> {
  const fleet = new NearFleet()
  const writer = fleet.start(PUBLISHES)
  for (let price = 1; price <= 20; price++) fleet.table.put('42', price)
  const change: ModelChange = fleet.table.put('42', 99)
  await writer.fence(change)
  await settle()
  const message = JSON.parse(fleet.hub.sent.findLast((text) => text.includes('public.products/42')) as string)
  const [key, version, flags, entry] = message[3][0]
  const said: Said = { version, entry }
  spoil(said)
  return JSON.stringify([message[0], 'stranger', 1, [[key, said.version, flags, said.entry]]])
}
