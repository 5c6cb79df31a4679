import { beforeEach, describe, expect, it } from 'vitest'
import { stampTable, stampTableSql } from '../../../src/migrations.js'
import { MINUTE_MICROSECONDS, nowMicroseconds, StampLab } from './stamp-lab.js'

const lab = StampLab.open()

/** The stamps of a row from a day ahead, and of the one that comes under its key when it is gone. */
async function stampsOfBoth() {
  await lab.run('insert into products values (1)')
  await lab.stampADayAhead()
  const seen = await lab.versionOf(1)
  await lab.run('delete from products')
  await lab.run('insert into products values (1)')
  return { seen, again: await lab.versionOf(1) }
}

async function expectANewerStamp(): Promise<void> {
  const { seen, again } = await stampsOfBoth()
  expect(again).toBeGreaterThan(seen)
}

describe('a key that is used again', () => {
  beforeEach(() => lab.makeProducts())

  it('gets a newer stamp when the clock has stepped back', async () => {
    await lab.stamp()
    await expectANewerStamp()
  })

  it('gets one after each statement of an upgrade, too', async () => {
    await lab.stamp()
    const { up } = stampTableSql({ table: 'products', key: 'id' })
    const stampFunction = /function ("corral"\."products_stamp_[^"]*"\(\))/.exec(up.join())?.[1]
    // As earlier releases had it: the stamp's own function lifts the row.
    await lab.run(`drop trigger zz_corral_stamp_restamp on products;
      create or replace function ${stampFunction} returns trigger language plpgsql as $$ begin
        NEW.corral_version := greatest(OLD.corral_version + 1, (date_part('epoch', clock_timestamp()) * 1000000)::bigint);
        if pg_trigger_depth() > 1 then
          NEW.corral_version := greatest(NEW.corral_version, nullif(current_setting('corral.restamp', true), '')::bigint);
        end if;
        return NEW;
      end $$`)
    for (const statement of up) {
      await lab.run(statement)
      await expectANewerStamp()
      await lab.run('delete from products')
    }
  })

  it('lifts no other row of the transaction', async () => {
    await lab.stamp()
    await lab.run('insert into products values (1), (2)')
    const other = await lab.versionOf(2)
    await lab.stampADayAhead()
    await lab.run(`alter table products disable trigger zz_corral_stamp;
      update products set corral_version = ${other} where id = 2;
      alter table products enable always trigger zz_corral_stamp`)
    await lab.run(`begin; delete from products where id = 1; insert into products values (1);
      update products set price = 1 where id = 2; commit`)
    expect(await lab.versionOf(2)).toBeLessThan(nowMicroseconds() + MINUTE_MICROSECONDS)
  })

  it('is not remembered where nothing is re-used', async () => {
    await lab.stamp({ tombstones: false })
    const { seen, again } = await stampsOfBoth()
    // What the tombstones are for: this is the regression they prevent.
    expect(again).toBeLessThan(seen)
    expect(await lab.run(`select to_regclass('corral.tombstones') as found`)).toEqual([{ found: null }])
  })

  it('keeps rising over a change of the key, on both sides', async () => {
    await lab.stamp()
    await lab.run('insert into products values (1), (2)')
    await lab.stampADayAhead()
    const [one, two] = [await lab.versionOf(1), await lab.versionOf(2)]
    await lab.run('delete from products where id = 2')
    await lab.run('alter table products disable trigger zz_corral_stamp')
    await lab.run('update products set corral_version = 5')
    await lab.run('alter table products enable always trigger zz_corral_stamp')
    // The row moves onto a key that was deleted with a newer stamp than it has itself.
    await lab.run('update products set id = 2 where id = 1')
    expect(await lab.versionOf(2)).toBeGreaterThan(two)
    await lab.stampADayAhead()
    await lab.stampADayAhead()
    const moved = await lab.versionOf(2)
    expect(moved).toBeGreaterThan(one)
    await lab.run('update products set id = 3 where id = 2')
    await lab.run('insert into products values (2)')
    expect(await lab.versionOf(2)).toBeGreaterThan(moved)
  })

  it('is told apart by every part of a composite key, whatever its text', async () => {
    await lab.run(
      `create table lines ("order" text collate "POSIX", "Line no" int, corral_note text, primary key ("order", "Line no"))`,
    )
    await stampTable({ table: 'lines', key: ['order', 'Line no'] }).up(lab.db)
    await lab.run(`insert into lines values ('a,"b', 1), ('a', 1), ('a', 2)`)
    await lab.stampADayAhead('lines')
    await lab.run('delete from lines')
    expect(await lab.run(`select key from corral.tombstones order by key`)).toEqual([
      { key: ['a', '1'] },
      { key: ['a', '2'] },
      { key: ['a,"b', '1'] },
    ])
    await lab.run(`insert into lines values ('a', 2), ('new', 2)`)
    expect(await lab.countOf(`lines where corral_version > ${nowMicroseconds() + MINUTE_MICROSECONDS}`)).toBe(1)
  })

  it('forgets nothing when the deletion is rolled back', async () => {
    await lab.stamp()
    await lab.run('insert into products values (1)')
    await lab.run('begin; delete from products; rollback')
    expect(await lab.countOf('corral.tombstones')).toBe(0)
  })

  it('is forgotten by pruning, but not before its time', async () => {
    await lab.stamp()
    await lab.run('insert into products values (1), (2)')
    await lab.run('delete from products')
    await lab.run(`update corral.tombstones set version = version - 8 * 86400000000::bigint where key = '{1}'`)
    expect(await lab.run('select corral.prune_tombstones() as pruned')).toEqual([{ pruned: '1' }])
    expect(await lab.run('select key from corral.tombstones')).toEqual([{ key: ['2'] }])
    await expect(lab.run(`select corral.prune_tombstones('1 minute')`)).rejects.toThrow(/less than an hour/)
  })
})

describe('a row deleted and re-created in a race (A19)', () => {
  const LEVELS = ['repeatable read', 'serializable']

  beforeEach(() => lab.makeProducts())

  /** Draws the stamp of an INSERT and holds it there until `release`; meanwhile a newer one is committed and the row deleted. */
  async function raceWithPausedInsert(begin: string) {
    await lab.run(`create function pause() returns trigger language plpgsql as
        'begin perform pg_advisory_xact_lock_shared(19); return NEW; end';
      create trigger zzz_pause before insert on products for each row execute function pause();
      insert into products values (1)`)
    const [gate, inserter] = [await lab.session(), await lab.session()]
    await gate.run('select pg_advisory_lock(19)')
    await inserter.run(begin)
    await inserter.run('select 1 from products')
    const insertion = await inserter.runBlocked('insert into products values (1) returning corral_version')
    await lab.run('update products set price = 2')
    const newest = await lab.versionOf(1)
    await lab.run('delete from products')
    await gate.run('select pg_advisory_unlock(19)')
    return { inserter, insertion, newest }
  }

  /** The INSERT draws its stamp and waits in its unique check for a transaction that goes on to update and then deletes. */
  async function raceWithDeleter(begin: string) {
    await lab.run('insert into products values (1)')
    const [deleter, inserter] = [await lab.session(), await lab.session()]
    await deleter.run('begin')
    await deleter.run('update products set price = 1')
    await inserter.run(begin)
    await inserter.run('select 1 from products')
    const insertion = await inserter.runBlocked('insert into products values (1) returning corral_version')
    const [updated] = await deleter.run('update products set price = 2 returning corral_version')
    await deleter.run('delete from products')
    await deleter.run('commit')
    return { inserter, insertion, newest: BigInt(String(updated?.corral_version)) }
  }

  const RACES = [
    { name: 'while the INSERT is under way', race: raceWithPausedInsert },
    { name: 'while the INSERT waits for the deleter', race: raceWithDeleter },
  ]

  describe.each(RACES)('$name', ({ race }) => {
    it('regresses without tombstones', async () => {
      await lab.stamp({ tombstones: false })
      const { inserter, insertion, newest } = await race('begin')
      await insertion.done
      await inserter.run('commit')
      expect(await lab.versionOf(1)).toBeLessThan(newest)
    })

    it('rises under READ COMMITTED', async () => {
      await lab.stamp()
      const { inserter, insertion, newest } = await race('begin')
      const [drawn] = await insertion.done
      expect(BigInt(String(drawn?.corral_version))).toBeLessThan(newest)
      await inserter.run('commit')
      expect(await lab.versionOf(1)).toBeGreaterThan(newest)
    })

    it.each(LEVELS)('fails with 40001 under %s, and rises when tried again', async (level) => {
      await lab.stamp()
      const { inserter, insertion, newest } = await race(`begin isolation level ${level}`)
      await expect(insertion.done).rejects.toMatchObject({ code: '40001' })
      await inserter.run('rollback')
      await inserter.run(`begin isolation level ${level}`)
      await inserter.run('insert into products values (1)')
      await inserter.run('commit')
      expect(await lab.versionOf(1)).toBeGreaterThan(newest)
    })
  })

  it.each(LEVELS)('fails with 40001 under %s also when the clock has stepped back since', async (level) => {
    await lab.stamp()
    await lab.run('insert into products values (1)')
    await lab.stampADayAhead()
    const seen = await lab.versionOf(1)
    const inserter = await lab.session()
    await inserter.run(`begin isolation level ${level}`)
    await inserter.run('select 1 from products')
    await lab.run('delete from products')
    await expect(inserter.run('insert into products values (1)')).rejects.toMatchObject({ code: '40001' })
    await inserter.run('rollback')
    await inserter.run(`begin isolation level ${level}`)
    await inserter.run('insert into products values (1)')
    await inserter.run('commit')
    expect(await lab.versionOf(1)).toBeGreaterThan(seen)
  })

  it('leaves no trace of an insert under REPEATABLE READ that met no tombstone', async () => {
    await lab.stamp()
    await lab.run('begin isolation level repeatable read; insert into products values (1), (2); commit')
    expect(await lab.countOf('corral.tombstones')).toBe(0)
  })

  it('rises when one transaction deletes and re-creates', async () => {
    await lab.stamp()
    await lab.run('insert into products values (1)')
    await lab.stampADayAhead()
    const seen = await lab.versionOf(1)
    await lab.run('begin; delete from products; insert into products values (1); commit')
    const first = await lab.versionOf(1)
    expect(first).toBeGreaterThan(seen)
    await lab.run(
      'begin isolation level repeatable read; delete from products; insert into products values (1); commit',
    )
    expect(await lab.versionOf(1)).toBeGreaterThan(first)
  })
})
