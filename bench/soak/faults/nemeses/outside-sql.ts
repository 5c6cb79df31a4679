import { setTimeout as sleep } from 'node:timers/promises'
import type { Nemesis } from '../nemesis.js'
import { newProduct, ROWS, shelfOf, slugOf } from '../shop.js'
import type { Stage } from '../stage.js'

/** Somebody with psql, and a job that knows of no cache. */
export const outsideSqlNemeses: readonly Nemesis[] = [
  {
    name: 'sql-update',
    does: 'UPDATEs of one to ten rows by SQL from outside, 20 in 2 s',
    lane: 'processes',
    async strike(stage) {
      for (let times = 0; times < 20; times++) {
        const first = id(stage)
        const last = first + Math.floor(stage.between(0, 10))
        await quietly(stage.outside(`update products set stock = stock + 1 where id between ${first} and ${last}`))
        await sleep(80)
      }
    },
  },
  {
    name: 'sql-update-many',
    does: 'one UPDATE of more rows than the outbox names one by one',
    lane: 'processes',
    strike: (stage) => quietly(stage.outside(`update products set stock = stock + 1 where id % 2 = ${id(stage) % 2}`)),
  },
  {
    name: 'sql-delete',
    does: 'DELETE of some rows by SQL from outside, which come back by COPY',
    lane: 'processes',
    async strike(stage) {
      const first = id(stage)
      const ids = Array.from({ length: 6 }, (_, at) => first + at).filter((each) => each <= ROWS)
      await quietly(stage.outside(`delete from products where id in (${ids.join()})`))
      await sleep(stage.between(0, 500))
      for (const each of ids) await quietly(stage.outside(copy(each)))
    },
  },
  {
    name: 'sql-truncate',
    does: 'TRUNCATE, and all rows once more by one INSERT',
    lane: 'processes',
    async strike(stage) {
      await quietly(stage.outside('truncate products'))
      await sleep(100)
      const { filler } = newProduct(1)
      const rows = Array.from(
        { length: ROWS },
        (_, at) => `(${at + 1}, '${slugOf(at + 1)}', ${shelfOf(at + 1)}, 0, '${filler}')`,
      )
      await quietly(
        stage.outside(
          `insert into products (id, slug, shelf, stock, filler) values ${rows.join()} on conflict do nothing`,
        ),
      )
    },
  },
]

function id(stage: Stage): number {
  return Math.floor(stage.between(1, ROWS))
}

/** One row, read by the server from a program as from a file. */
function copy(each: number): string {
  const { slug, shelf, stock } = newProduct(each)
  return `copy products (id, slug, shelf, stock, filler) from program 'echo ${each},${slug},${shelf},${stock},copied' (format csv)`
}

/** The database may be away, and others may have been quicker. */
async function quietly(work: Promise<void>): Promise<void> {
  await work.catch(() => {})
}
