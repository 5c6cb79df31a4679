import type { KyselyPlugin } from 'kysely'
import { beforeAll, describe, expect, it } from 'vitest'
import { QueryLab, type QueryProcess } from '../../support/query-lab.js'

/**
 * A load by a unique column brings the row along with the pointer. Only the pointer is fenced by a write of that column, so the row
 * must not be shown to anybody who asked after a write of another one.
 */
describe('a lookup shows no row from before a write', () => {
  let lab: QueryLab
  beforeAll(async () => {
    lab = await QueryLab.open()
  })

  /** A process whose next load by name waits with its result in hand. */
  function startPaused() {
    let arrive = () => {}
    let resume = () => {}
    let isArmed = false
    const reached = new Promise<void>((resolve) => {
      arrive = resolve
    })
    const open = new Promise<void>((resolve) => {
      resume = resolve
    })
    const gate: KyselyPlugin = {
      transformQuery: ({ node }) => node,
      transformResult: async ({ result }) => {
        if (isArmed && result.rows.some((row) => 'price' in row)) {
          isArmed = false
          arrive()
          await open
        }
        return result
      },
    }
    const process = lab.start({ plugins: [gate] })
    const arm = () => {
      isArmed = true
    }
    return { process, reached, resume, arm }
  }

  describe.each([
    ['with stamps', 'corral_version'],
    ['without', false],
  ] as const)('%s', (_, version) => {
    const open = ({ corral }: QueryProcess) =>
      corral.repository('products', { key: 'id', unique: ['name'], version: version as 'corral_version' })

    it.each<[string, (reader: QueryProcess) => QueryProcess]>([
      ['in another process', () => lab.start()],
      ['in this one', (reader) => reader],
    ])('that was acknowledged %s while the load was under way', async (_, writerOf) => {
      lab.emptyCache()
      const { process, reached, resume, arm } = startPaused()
      const products = open(process)
      const writing = open(writerOf(process))
      await products.find(1)
      await writing.update(2, { price: 20 })
      arm()
      const early = products.findBy({ name: 'cup' })
      await reached
      expect((await writing.update(2, { price: 21 }))?.fence).toBe('fenced')
      const late = products.findBy({ name: 'cup' })
      await expect
        .poll(() => process.events.count('coalesced'), { message: 'the second one waits for the first' })
        .toBe(1)
      resume()
      expect((await early)?.price).toBeDefined()
      expect((await late)?.price).toBe(21)
    })
  })
})
