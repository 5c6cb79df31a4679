import { readFileSync } from 'node:fs'
import pg from 'pg'
import { startPostgres } from '../test/support/servers/postgres.js'
import { outboxTablesSql, outboxTableSql, stampTableSql } from '../src/migrations.js'
const server = await startPostgres({ own: true, settings: { shared_buffers: '256MB', max_wal_size: '4GB', autovacuum: 'off' } })
const c = new pg.Client(server.url); await c.connect()
for (const s of outboxTablesSql().up) await c.query(s)
const make = async (k: string) => { await c.query(`create table ${k} (id int primary key, slug text unique, shop int not null, price int not null, corral_version bigint not null default 1) with (fillfactor=50); insert into ${k} select i, 's'||i, i%100, 0 from generate_series(1,10000) i`) }
const loop = (k: string) => `do $$ begin for i in 1..10000 loop update ${k} set price = price + 1 where id = i; end loop; end $$`
const variants: Record<string, (k: string) => Promise<unknown>> = {
  plain: async () => {},
  empty_stmt: (k) => c.query(`create function f_${k}() returns trigger language plpgsql as 'begin return null; end'; create trigger t after update on ${k} referencing old table as corral_old new table as corral_new for each statement execute function f_${k}()`),
  empty_stmt_sd: (k) => c.query(`create function f_${k}() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as 'begin return null; end'; create trigger t after update on ${k} referencing old table as corral_old new table as corral_new for each statement execute function f_${k}()`),
  empty_row_sd: (k) => c.query(`create function f_${k}() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as 'begin return null; end'; create trigger t after update on ${k} for each row execute function f_${k}()`),
  stmt_values: (k) => c.query(`create function f_${k}() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as 'begin insert into corral.outbox(entity,op,key,version) values (''p'',''u'',array[''1''],5); return null; end'; create trigger t after update on ${k} referencing old table as corral_old new table as corral_new for each statement execute function f_${k}()`),
  stmt_values_leaf: (k) => c.query(`create function f_${k}() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as 'begin insert into corral.outbox_0(slot,entity,op,key,version,id,xid) values (0,''p'',''u'',array[''1''],5,nextval(''corral.outbox_id''),pg_current_xact_id()); return null; end'; create trigger t after update on ${k} referencing old table as corral_old new table as corral_new for each statement execute function f_${k}()`),
  stmt_new: (k) => c.query(`create function f_${k}() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as 'begin insert into corral.outbox(entity,op,key,version) select ''p'',''u'',array[n.id::text],n.corral_version from corral_new n; return null; end'; create trigger t after update on ${k} referencing old table as corral_old new table as corral_new for each statement execute function f_${k}()`),
  row_values: (k) => c.query(`create function f_${k}() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as 'begin insert into corral.outbox(entity,op,key,version) values (''p'',''u'',array[NEW.id::text],NEW.corral_version); return null; end'; create trigger t after update on ${k} for each row execute function f_${k}()`),
  stmt_full: async (k) => { for (const s of outboxTableSql({ table: k, key: 'id', unique: ['slug'], columns: ['shop'] }).up) await c.query(s) },
  stmt_full_plainkey: async (k) => { for (const s of outboxTableSql({ table: k, key: 'id' }).up) await c.query(s) },
  row_full: async (k) => { for (const s of outboxTableSql({ table: k, key: 'id', unique: ['slug'], columns: ['shop'], eachRow: true }).up) await c.query(s) },
  row_full_plainkey: async (k) => { for (const s of outboxTableSql({ table: k, key: 'id', eachRow: true }).up) await c.query(s) },
}
const only = process.argv.slice(2)
for (const [k, f] of Object.entries(variants)) { if (only.length && !only.includes(k)) continue; await make(k); await f(k) }
const pid = (await c.query('select pg_backend_pid() as p')).rows[0].p; const cpu = () => Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6
const best: Record<string, number> = {}
for (let r = 0; r < 4; r++) for (const k of Object.keys(variants)) { if (only.length && !only.includes(k)) continue; await c.query(`vacuum ${k}`); const t = cpu(); await c.query(loop(k)); best[k] = Math.min(best[k] ?? 1e9, (cpu() - t) / 10) }
for (const [k, v] of Object.entries(best)) console.log(k.padEnd(22), v.toFixed(1), 'us/update')
await c.end(); await server.stop()
