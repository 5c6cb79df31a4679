/**
 * What stamp and outbox cost whoever writes, in instructions of the backend: an update of one row by its key, in a transaction of its own,
 * on tables with the triggers and without. By Postgres' single-user mode under callgrind, so it does not depend on what else the machine
 * does; it leaves out the kernel, the disk, contention and the client.
 *
 * Usage: node --import tsx bench/trigger-instructions.ts. Needs `valgrind`.
 */
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { outboxTableSql, outboxTablesSql, stampTableSql } from '../src/migrations.js'
import { findProgram } from '../test/support/servers/command.js'
import { findPostgres } from '../test/support/servers/find-postgres.js'
import { runTool, type Toolset } from '../test/support/servers/toolset.js'
import { makeWorkFolder } from '../test/support/servers/workspace.js'

const KEY = 'id'
const RICH = { unique: ['slug'], columns: ['shop'] } as const
/** What is run after the table is made. */
const KINDS: Readonly<Record<string, (table: string) => readonly string[]>> = {
  plain: () => [],
  'an empty BEFORE trigger': (table) => emptyTrigger(table, 'before', 'return NEW'),
  stamp: (table) => stampTableSql({ table, key: KEY }).up,
  'stamp, an empty AFTER trigger': (table) => [
    ...stampTableSql({ table, key: KEY }).up,
    ...emptyTrigger(table, 'after', 'return null'),
  ],
  'stamp, an AFTER trigger that inserts a constant': (table) => [
    ...stampTableSql({ table, key: KEY }).up,
    `create table ${table}_log (what text)`,
    ...emptyTrigger(table, 'after', `insert into ${table}_log values (''x''); return null`),
  ],
  'stamp and outbox': (table) => [
    ...stampTableSql({ table, key: KEY }).up,
    ...outboxTableSql({ table, key: KEY, ...RICH }).up,
  ],
  'stamp and outbox, without lookups and columns': (table) => [
    ...stampTableSql({ table, key: KEY }).up,
    ...outboxTableSql({ table, key: KEY }).up,
  ],
}
const ROWS = 20_000
/** Counted is the difference, so that nothing of the start and of the first plans is in it. */
const [FEW, MANY] = [100, 400] as const

if (findProgram('valgrind', []) === undefined) throw new Error('no program `valgrind` in PATH')
const toolset = await findPostgres(['machine'])
const folder = makeWorkFolder('instructions')
try {
  await runTool(
    toolset,
    'initdb',
    ['--pgdata=data', '--username=postgres', '--auth=trust', '--locale=C', '--no-sync'],
    folder,
  )
  single(toolset, [
    ...outboxTablesSql().up,
    ...Object.entries(KINDS).flatMap(([, more], at) => [...tableOf(`t${at}`), ...more(`t${at}`)]),
    'vacuum analyze',
  ])
  let plain = 0
  for (const [at, kind] of Object.keys(KINDS).entries()) {
    const [few, many] = [counted(toolset, `t${at}`, FEW), counted(toolset, `t${at}`, MANY)]
    const each = Math.round((many - few) / (MANY - FEW))
    plain ||= each
    console.log(`${kind.padEnd(47)} ${each.toLocaleString('en').padStart(8)}  ${(each / plain).toFixed(2)}`)
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}

function tableOf(table: string): string[] {
  return [
    `create table ${table} (id int primary key, slug text unique, shop int not null, price int not null, filler text) with (fillfactor = 70)`,
    `insert into ${table} select i, 's' || i, i % 100, 0, repeat('x', 200) from generate_series(1, ${ROWS}) i`,
  ]
}

function emptyTrigger(table: string, when: string, body: string): string[] {
  return [
    `create function ${table}_${when}() returns trigger language plpgsql as 'begin ${body}; end'`,
    `create trigger t_${when} ${when} update on ${table} for each row execute function ${table}_${when}()`,
  ]
}

/** Instructions of a process that starts, makes so many updates and ends. */
function counted(tools: Toolset, table: string, updates: number): number {
  const said = single(
    tools,
    [
      `prepare change(int) as update ${table} set price = price + 1 where id = $1`,
      ...Array.from({ length: updates }, (_, nth) => `execute change(${((nth * 37) % ROWS) + 1})`),
    ],
    ['valgrind', '--tool=callgrind', '--callgrind-out-file=/dev/null'],
  )
  return Number(/Collected : (\d+)/.exec(said)?.[1])
}

/** Runs the statements in single-user mode. Returns what it said. */
function single(tools: Toolset, statements: readonly string[], under: readonly string[] = []): string {
  const settings = ['fsync=off', 'max_wal_size=4GB'].flatMap((setting) => ['-c', setting])
  const args = ['--single', '-j', '-D', join(folder, 'data'), ...settings, 'postgres']
  const { file, args: all, env, account } = tools.invocation('postgres', args, folder)
  const [program, ...before] = [...under, file]
  const run = spawnSync(program as string, [...before, ...all], {
    ...{ cwd: folder, encoding: 'utf8', maxBuffer: 2 ** 28, env: { PATH: process.env.PATH, LC_ALL: 'C', ...env } },
    ...(account === undefined ? {} : { uid: account.uid, gid: account.gid }),
    // An empty line ends a statement.
    input: statements.map((statement) => `${statement.replace(/\n\s*\n/g, '\n')};\n\n`).join(''),
  })
  const refused = /^.*(?:ERROR|FATAL): .*$/m.exec(run.stderr)
  if (run.status !== 0 || refused) throw new Error(refused?.[0] ?? run.error?.message ?? run.stderr)
  return run.stderr
}
