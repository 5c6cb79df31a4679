import { sql } from 'kysely'
import { beforeAll, beforeEach, expect } from 'vitest'
import { type StampTableOptions, stampTable } from '../../../src/migrations.js'
import { freshDatabase } from '../../support/services.js'
import { type AnyDatabase, openKysely, Session } from './connections.js'

/** A database of the test file's own, emptied before each test, with the questions that tests about stamps ask. */
export class StampLab {
  #url = ''
  #db: AnyDatabase | undefined

  /** Call at the top of a file. */
  static open(): StampLab {
    const lab = new StampLab()
    beforeAll(async () => {
      lab.#url = await freshDatabase()
      lab.#db = openKysely(lab.#url)
    })
    beforeEach(() => lab.run('drop schema if exists public, corral, sales cascade; create schema public'))
    return lab
  }

  get db(): AnyDatabase {
    if (this.#db === undefined) throw new Error('the lab opens in beforeAll')
    return this.#db
  }

  async run(text: string): Promise<Record<string, unknown>[]> {
    return (await sql.raw<Record<string, unknown>>(text).execute(this.db)).rows
  }

  /** Everything that `\d` shows of the products, and everything else that the database holds. */
  inventory(): Promise<Record<string, unknown>[]> {
    return this.run(`select 'column' as what, attname::text as name, format_type(atttypid, atttypmod) || attnotnull as rest
        from pg_attribute where attrelid = 'products'::regclass and attnum > 0 and not attisdropped
      union all select 'default', adnum::text, pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = 'products'::regclass
      union all select 'trigger', tgname, pg_get_triggerdef(oid) || tgenabled::text from pg_trigger where not tgisinternal
      union all select 'function', proname, pronamespace::regnamespace::text from pg_proc where oid > 16383
      union all select 'relation', oid::regclass::text, relkind::text from pg_class where oid > 16383 and relkind in ('r', 'p', 'i', 'S')
      union all select 'schema', nspname, nspacl::text from pg_namespace where oid > 16383
      union all select 'acl', relname, relacl::text from pg_class where oid > 16383 order by 1, 2`)
  }

  session(): Promise<Session> {
    return Session.open(this.#url, this.db)
  }

  async makeProducts(): Promise<void> {
    await this.run('create table products (id int primary key, price int not null default 0)')
  }

  async stamp(options: Partial<StampTableOptions> = {}): Promise<void> {
    await stampTable({ table: 'products', key: 'id', ...options }).up(this.db)
  }

  async versionOf(id: number | string, table = 'products'): Promise<bigint> {
    const rows = await this.run(`select corral_version from ${table} where id::text = '${id}'`)
    expect(rows).toHaveLength(1)
    return BigInt(String(rows[0]?.corral_version))
  }

  /** @param rows a table, and a condition if wanted: `products where price > 1`. */
  async countOf(rows: string): Promise<number> {
    return Number((await this.run(`select count(*) as count from ${rows}`))[0]?.count)
  }

  /** Makes the stamps what they would be had the clock been a day ahead: what follows is as after a step back. */
  async stampADayAhead(table = 'products'): Promise<void> {
    await this.run(`alter table ${table} disable trigger zz_corral_stamp;
      update ${table} set corral_version = corral_version + 86400000000;
      alter table ${table} enable always trigger zz_corral_stamp`)
  }
}

/** What the database's clock should show now, in microseconds. */
export function nowMicroseconds(): bigint {
  return BigInt(Date.now()) * 1000n
}

export const MINUTE_MICROSECONDS = 60_000_000n
