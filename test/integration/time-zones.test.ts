import { sql } from 'kysely'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { Corral } from '../../src/index.js'
import { QueryLab, type QueryProcess } from '../support/query-lab.js'
import { waitUntil } from '../support/servers/wait.js'

/** The driver makes a Date of these at the process' own midnight. */
const LOCAL = ['date', 'timestamp', 'timestamp(3)', 'timestamp(0)[]', 'date[]', 'a_day', 'a_moment', 'days']
/** What the driver makes of these is the same everywhere. */
const UNIVERSAL = ['timestamptz', 'timestamptz(3)', 'text', 'time']

describe('processes in two time zones', () => {
  let lab: QueryLab
  beforeAll(async () => {
    lab = await QueryLab.open()
    await lab.run(`create domain a_day as date; create domain a_moment as timestamp(6); create domain days as date[]`)
    for (const [at, type] of [...LOCAL, ...UNIVERSAL].entries()) {
      const noon = type === 'time' ? '12:00' : '2026-06-01 12:00'
      await lab.run(`create table moments_${at} (id int primary key, at ${type})`)
      await lab.stamp(`moments_${at}`)
      await lab.run(`insert into moments_${at} values (1, '${/\[\]|days/.test(type) ? `{${noon}}` : noon}')`)
    }
  })

  function inZone(zone: string) {
    const before = process.env.TZ
    onTestFinished(() => {
      if (before === undefined) delete process.env.TZ
      else process.env.TZ = before
    })
    process.env.TZ = zone
  }

  async function readBoth({ corral, db }: QueryProcess, table: string) {
    const moments = (corral as unknown as Corral<Record<string, { id: number; at: unknown }>>).repository(table, {
      key: 'id',
    })
    const { rows } = await sql`select * from ${sql.table(table)}`.execute(db)
    return { cached: await moments.find(1), row: rows[0] }
  }

  it.each([...LOCAL, ...UNIVERSAL])('read a %s as the database gives it to each of them', async (type) => {
    const table = `moments_${[...LOCAL, ...UNIVERSAL].indexOf(type)}`
    const [here, there] = [lab.start(), lab.start()]
    inZone('UTC')
    const first = await readBoth(here, table)
    expect(first.cached).toEqual(first.row)
    await waitUntil('the row is cached', 5_000, async () => here.events.count('fill') > 0)
    inZone('America/New_York')
    const second = await readBoth(there, table)
    expect(second.cached).toEqual(second.row)
    expect(there.events.count('hit'), 'answered by the cache').toBe(UNIVERSAL.includes(type) ? 1 : 0)
  })
})
