/**
 * What stamp and outbox cost writers: single-row updates by `pgbench`, on a plain table, a stamped one, and one with stamp and outbox
 * triggers. Rounds are interleaved; besides transactions a second, the processor time of the server's processes is
 * counted, which does not depend on what else the machine does.
 *
 * Usage: node --import tsx bench/outbox-cost.ts [rounds, default 5] [seconds a round, default 5] [clients, default 8] [fsync, default off]
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { outboxTableSql, outboxTablesSql, stampTableSql } from '../src/migrations.js'
import { findProgram } from '../test/support/servers/command.js'
import { startPostgres } from '../test/support/servers/postgres.js'
import { makeWorkFolder } from '../test/support/servers/workspace.js'
import { DURABLE } from './harness/durable.js'

const [rounds = '5', seconds = '5', clients = '8', fsync = 'off'] = process.argv.slice(2)
const KINDS = ['plain', 'stamp', 'outbox'] as const
const ROWS = 100_000
/** Of the kernel's clock ticks, in which /proc tells processor time. */
const TICKS_PER_SECOND = 100

const pgbench = findProgram('pgbench', [
  '/usr/lib/postgresql/18/bin',
  '/usr/lib/postgresql/17/bin',
  '/usr/lib/postgresql/15/bin',
])
if (pgbench === undefined) throw new Error('no program `pgbench` in PATH, nor in /usr/lib/postgresql/*/bin')
const server = await startPostgres({ own: true, settings: { ...DURABLE, fsync, full_page_writes: fsync } })
const client = new pg.Client(server.url)
await client.connect()
for (const statement of outboxTablesSql().up) await client.query(statement)
const folder = makeWorkFolder('outbox-cost')
for (const kind of KINDS) {
  await client.query(`create table ${kind} (id int primary key, slug text unique, shop int not null, price int not null, filler text)
    with (fillfactor = 70)`)
  await client.query(
    `insert into ${kind} select i, 's' || i, i % 100, 0, repeat('x', 200) from generate_series(1, ${ROWS}) i`,
  )
  if (kind !== 'plain')
    for (const statement of stampTableSql({ table: kind, key: 'id' }).up) await client.query(statement)
  if (kind === 'outbox') {
    const { up } = outboxTableSql({ table: kind, key: 'id', unique: ['slug'], columns: ['shop'] })
    for (const statement of up) await client.query(statement)
  }
  writeFileSync(
    join(folder, kind),
    `\\set id random(1, ${ROWS})\nupdate ${kind} set price = price + 1 where id = :id;\n`,
  )
}

interface Round {
  readonly perSecond: number
  readonly cpuMicroseconds: number
}

const found: Record<(typeof KINDS)[number], Round[]> = { plain: [], stamp: [], outbox: [] }
for (let round = 0; round < Number(rounds); round++) for (const kind of KINDS) found[kind].push(await measure(kind))
const middle = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1] as number
const [plain] = KINDS.map((kind) => middle(found[kind].map(({ cpuMicroseconds }) => cpuMicroseconds)))
for (const kind of KINDS) {
  const cpu = middle(found[kind].map(({ cpuMicroseconds }) => cpuMicroseconds))
  const perSecond = middle(found[kind].map((each) => each.perSecond))
  const more = ((cpu / (plain as number) - 1) * 100).toFixed(0)
  console.log(
    `${kind.padEnd(8)} ${perSecond.toFixed(0).padStart(7)}/s  ${cpu.toFixed(1)} us of the server's processor a write (+${more} %)`,
  )
}
await client.end()
await server.stop()

async function measure(kind: string): Promise<Round> {
  await client.query(`vacuum ${kind}`)
  const before = childTicks()
  const args = ['-n', '-M', 'prepared', '-c', clients, '-T', seconds, '-f', join(folder, kind), server.url]
  const printed = execFileSync(pgbench as string, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  const writes = Number(/actually processed: (\d+)/.exec(printed)?.[1])
  const perSecond = Number(/tps = ([\d.]+)/.exec(printed)?.[1])
  // The backends of pgbench have ended when it has, but for a moment in which the server notices.
  await new Promise((resolve) => setTimeout(resolve, 200))
  return { perSecond, cpuMicroseconds: ((childTicks() - before) / TICKS_PER_SECOND / writes) * 1e6 }
}

/** Processor time of all server processes that have ended, user and system. */
function childTicks(): number {
  const fields = readFileSync(`/proc/${server.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return Number(fields[13]) + Number(fields[14])
}
