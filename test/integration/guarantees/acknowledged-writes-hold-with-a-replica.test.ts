import { afterAll, beforeAll, expect, it } from 'vitest'
import { seededChance } from '../../support/seeded-chance.js'
import { waitUntil } from '../../support/servers/wait.js'
import { StandbyLab } from '../../support/standby-lab.js'

const KEYS = 12
const WRITERS = 3
const READERS = 4
/** Writes of each writer. */
const WRITES = 150
const LAG_MS = 40

let lab: StandbyLab
beforeAll(async () => {
  lab = await StandbyLab.open({ standbySettings: { recovery_min_apply_delay: `${LAG_MS}ms` } })
})
afterAll(() => lab.close())

it(`no read is older than an acknowledged write while every miss goes to a standby ${LAG_MS} ms behind`, async () => {
  const readers = [await lab.reader(), await lab.reader(), await lab.reader(), await lab.reader()].slice(0, READERS)
  const writers = Array.from({ length: WRITERS }, () => lab.shop.start({ replica: {} }))
  const ids: number[] = []
  for (let key = 0; key < KEYS; key++) ids.push(await lab.insert(0))
  await lab.catchUp()

  /** Price of the newest write of each key that was acknowledged as fenced. Prices only rise. */
  const acknowledged = new Map(ids.map((id) => [id, 0]))
  let isWriting = true
  let next = 1
  const write = async (writer: (typeof writers)[number], seed: number) => {
    const chance = seededChance(seed)
    for (let count = 0; count < WRITES; count++) {
      const id = ids[Math.floor(chance.number() * KEYS)] as number
      const written = await writer.products.mutate(id, () => ({ price: next++ }))
      if (written?.fence !== 'fenced') continue
      acknowledged.set(id, Math.max(acknowledged.get(id) ?? 0, written.row.price))
    }
  }
  const violations: string[] = []
  const read = async (reader: (typeof readers)[number], seed: number) => {
    const chance = seededChance(seed)
    const shown = new Map<number, number>()
    while (isWriting) {
      const id = ids[Math.floor(chance.number() * KEYS)] as number
      const least = Math.max(acknowledged.get(id) ?? 0, shown.get(id) ?? 0)
      const price = (await reader.products.find(id))?.price ?? -1
      if (price < least) violations.push(`${id}: ${price} after ${least}`)
      shown.set(id, price)
    }
  }
  const reading = readers.map((reader, seed) => read(reader, seed + 100))
  await Promise.all(writers.map((writer, seed) => write(writer, seed + 1)))
  isWriting = false
  await Promise.all(reading)

  expect(violations).toEqual([])
  const events = readers.flatMap(({ events: { events } }) => events)
  const skipped = events.flatMap((event) => (event.type === 'replica.skipped' ? [event.reason] : []))
  const fills = events.filter(({ type }) => type === 'fill').length
  const fromReplica = events.filter((event) => event.type === 'load' && event.from === 'replica').length
  expect(fromReplica, 'the standby was asked').toBeGreaterThan(50)
  expect(fills).toBeGreaterThan(50)
  expect(
    skipped.filter((reason) => reason === 'fenced' || reason === 'floor').length,
    'and was behind',
  ).toBeGreaterThan(10)
  expect(skipped.filter((reason) => reason === 'failed')).toEqual([])

  await waitUntil('at rest every reader shows what the database holds', 2_000, async () => {
    const rows = await lab.shop.run(`select id, price from products where id in (${ids.join()}) order by id`)
    const shown = await Promise.all(readers.map(({ products }) => products.findMany(ids)))
    return shown.every((found) => found.every((row, at) => row?.price === rows[at]?.price))
  })
}, 60_000)
