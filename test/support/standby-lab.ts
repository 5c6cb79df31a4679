import type { Kysely } from 'kysely'
import { onTestFinished } from 'vitest'
import { execute } from './servers/database.js'
import type { PostgresServer, PostgresStandby } from './servers/postgres.js'
import { startPostgres } from './servers/postgres.js'
import { waitUntil } from './servers/wait.js'
import {
  openProducts,
  openShopDatabase,
  type ShopDatabase,
  ShopLab,
  type ShopProcess,
  type ShopProcessOptions,
} from './shop-lab.js'

/** A process whose products are loaded from the standby. */
export interface ReplicaReader extends ShopProcess {
  /** From which server its loads came, and why the standby's were not used; forgets them. */
  origins(): string[]
}

/** A shop on a primary of its own, with a streaming standby whose replay can be stopped where it is. */
export class StandbyLab {
  readonly primary: PostgresServer
  readonly standby: PostgresStandby
  readonly shop: ShopLab

  private constructor(parts: Pick<StandbyLab, 'primary' | 'standby' | 'shop'>) {
    this.primary = parts.primary
    this.standby = parts.standby
    this.shop = parts.shop
  }

  /** @param prepare what the database is to have besides the products. */
  static async open(
    options: {
      prepare?: (db: Kysely<ShopDatabase>) => Promise<void>
      /** Of the primary, and of the standby where it has no others. */
      settings?: Readonly<Record<string, string>>
      standbySettings?: Readonly<Record<string, string>>
    } = {},
  ): Promise<StandbyLab> {
    const primary = await startPostgres({ own: true, settings: options.settings ?? {} })
    const shop = await ShopLab.open(await primary.createDatabase('shop'))
    const db = openShopDatabase(shop.databaseUrl, 1)
    await options.prepare?.(db)
    await db.destroy()
    const standby = await primary.makeStandby(
      options.standbySettings === undefined ? {} : { settings: options.standbySettings },
    )
    return new StandbyLab({ primary, standby, shop })
  }

  /** The shop's database on the standby. */
  get standbyUrl(): string {
    const url = new URL(this.shop.databaseUrl)
    url.port = String(this.standby.port)
    return url.href
  }

  /** A process that loads from the standby, ready to do so. */
  async reader(options: ShopProcessOptions & { replicaUrl?: string } = {}): Promise<ReplicaReader> {
    const { replicaUrl = this.standbyUrl, ...rest } = options
    const db = openShopDatabase(replicaUrl)
    onTestFinished(() => db.destroy().catch(() => {}))
    const process = this.shop.start({ replica: { db }, ...rest })
    const products = openProducts(process.corral, { loadFrom: 'replica' })
    await waitUntil('the standby is used', 10_000, async () => {
      await this.catchUp()
      const id = await this.insert()
      await this.catchUp()
      process.events.events.length = 0
      await products.find(id)
      return process.events.of('load').some(({ from }) => from === 'replica')
    })
    process.events.events.length = 0
    return { ...process, products, origins: () => origins(process) }
  }

  /** A row that no process has been told of. */
  async insert(price = 1): Promise<number> {
    const [row] = await this.shop.run(`insert into products (price) values (${price}) returning id`)
    return Number(row?.id)
  }

  /** From now on the standby shows what it has replayed so far, until the test ends or `resume`. */
  async pause(): Promise<void> {
    await this.onStandby('select pg_wal_replay_pause()')
    await waitUntil('replay is paused', 5_000, async () => {
      const [row] = await this.onStandby('select pg_get_wal_replay_pause_state() as state')
      return row?.state === 'paused'
    })
    onTestFinished(() => this.resume())
  }

  async resume(): Promise<void> {
    await this.onStandby('select case when pg_is_in_recovery() then pg_wal_replay_resume() end')
  }

  /** Until the standby shows all that is committed now. */
  async catchUp(): Promise<void> {
    // Not where the next record goes: at the start of a page that lies behind a header, which is replayed with the record only.
    const [row] = await this.shop.run('select pg_current_wal_lsn()::text as lsn')
    await waitUntil('the standby has caught up', 10_000, async () => {
      const [replayed] = await this.onStandby(`select pg_last_wal_replay_lsn() >= '${row?.lsn}'::pg_lsn as is_there`)
      return replayed?.is_there === true
    })
  }

  onStandby(statement: string): Promise<Record<string, unknown>[]> {
    return execute(this.standbyUrl, statement)
  }

  async close(): Promise<void> {
    await this.standby.stop()
    await this.primary.stop()
  }
}

function origins({ events }: ShopProcess): string[] {
  const said = events.events.flatMap((event) => {
    if (event.type === 'load') return [event.from ?? 'primary']
    return event.type === 'replica.skipped' ? [event.reason] : []
  })
  events.events.length = 0
  return said
}
