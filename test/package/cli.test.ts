import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { beforeAll, expect, test } from 'vitest'
import { outboxTablesSql } from '../../src/migrations.js'
import { freshDatabase, freshNamespace, redisUrl } from '../support/services.js'
import { packed } from './packed.js'

const { consumer } = await packed()
const { version } = JSON.parse(readFileSync('package.json', 'utf8'))

/** Projects that have the package installed, each with a config of its own kind. */
const PROJECTS = join(consumer, 'cli')
const url = await freshDatabase()

/** What the config of every project makes. `typed` and `typedAny` are only there in TypeScript. */
const setUp = (typed: string, exported: string) => `
const db = new Kysely${typed}({ dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: process.env.DATABASE_URL }) }) })
const corral = createCorral({ db, redis: new Redis(process.env.REDIS_URL ?? ''), namespace: '${freshNamespace()}' })
corral.repository('products', { key: 'id' })
${exported}
`
const IMPORTS = `
import { createCorral } from 'corral'
import { Redis } from 'ioredis'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
`
const REQUIRES = `
const { createCorral } = require('corral')
const { Redis } = require('ioredis')
const { Kysely, PostgresDialect } = require('kysely')
const pg = require('pg')
`
const TYPED = '<{ products: { id: number } }>'

const CONFIGS: readonly [project: string, type: string, files: Readonly<Record<string, string>>][] = [
  [
    'typescript',
    'module',
    {
      'corral.config.ts': `export { corral as default } from '#app/cache.js'`,
      'src/cache.ts': `${IMPORTS}${setUp(TYPED, 'export { corral }')}`,
      'tsconfig.json': JSON.stringify({ compilerOptions: { paths: { '#app/*': ['./src/*'] } } }),
    },
  ],
  ['typescript-commonjs', 'commonjs', { 'corral.config.ts': `${IMPORTS}${setUp(TYPED, 'export { corral }')}` }],
  ['esm', 'commonjs', { 'corral.config.mjs': `${IMPORTS}${setUp('', 'export default Promise.resolve(corral)')}` }],
  ['commonjs', 'commonjs', { 'corral.config.js': `${REQUIRES}${setUp('', 'module.exports = { corral }')}` }],
  ['another', 'module', { 'corral.config.js': 'export const nothing = 1' }],
  ['throwing', 'module', { 'corral.config.mts': `throw new Error('no secret')` }],
  [
    'rejecting',
    'module',
    {
      'corral.config.mjs': `export default new Promise((_, reject) => setTimeout(reject, 50, new Error('no secret', { cause: new Error('no vault') })))`,
    },
  ],
  ['never', 'module', { 'corral.config.mjs': `await new Promise(() => {})` }],
  ['never-typescript', 'module', { 'corral.config.ts': `export default new Promise(() => {})` }],
  ['none', 'module', {}],
]

beforeAll(() => {
  rmSync(PROJECTS, { recursive: true, force: true })
  for (const [project, type, files] of CONFIGS) {
    const folder = join(PROJECTS, project)
    mkdirSync(join(folder, 'src'), { recursive: true })
    symlinkSync(join(consumer, 'node_modules'), join(folder, 'node_modules'), 'dir')
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: project, private: true, type }))
    for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text)
  }
})

const PROGRAM = join(consumer, 'node_modules', 'corral', 'dist', 'cli.js')
const env = { ...process.env, DATABASE_URL: url, REDIS_URL: redisUrl() }

function corral(project: string, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM, ...args], {
    cwd: join(PROJECTS, project),
    encoding: 'utf8',
    timeout: 30_000,
    env,
  })
  return { status, stdout, stderr }
}

test('the package names it as its command', () => {
  const manifest = JSON.parse(readFileSync(join(consumer, 'node_modules', 'corral', 'package.json'), 'utf8'))
  expect(manifest.bin).toEqual({ corral: 'dist/cli.js' })
  expect(readFileSync(PROGRAM, 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/)
})

test('tells its version and what it can do, without any config', () => {
  expect(corral('none', '--version')).toMatchObject({ status: 0, stdout: `${version}\n` })
  expect(corral('none', '--help')).toMatchObject({ status: 0, stdout: expect.stringContaining('doctor') })
})

test.each(['typescript', 'typescript-commonjs', 'esm', 'commonjs'])('runs the config of a project in %s', (project) => {
  const { status, stdout, stderr } = corral(project, 'migrate', '--check', '--no-outbox', '--json')
  // The table is not there yet: that was found out with the database of the config.
  expect(status, stderr).toBe(3)
  expect(JSON.parse(stdout)).toMatchObject({
    error: { code: 'CONFIG_INVALID', message: expect.stringContaining('no products') },
  })
})

test.each([
  ['none', 'there is none of corral.config.ts'],
  [
    'another',
    'expected the instance that createCorral made as the default export or as `corral`, found exports nothing',
  ],
  ['throwing', 'corral.config.mts failed: no secret'],
  ['rejecting', 'corral.config.mjs failed: no secret: no vault'],
])('says what is wrong with the config of project %s', (project, message) => {
  const { status, stderr } = corral(project, 'explain', 'products', '1')
  expect(status).toBe(3)
  expect(stderr).toContain(message)
})

test.each(['never', 'never-typescript'])(
  'says so when the config of project %s waits for what never comes',
  (project) => {
    const { status, stdout, stderr } = corral(project, 'doctor', '--json')
    expect(status).toBe(3)
    expect(stderr).toMatch(/^corral: .*corral\.config\.\w+ .*never.*\n$/)
    expect(JSON.parse(stdout)).toMatchObject({ error: { exit: 'config' } })
  },
)

test('finds out what is wrong with a set-up, from nothing but the config', () => {
  const { status, stdout, stderr } = corral('typescript', 'doctor', '--json')
  expect(status, stderr).toBe(1)
  const ids = JSON.parse(stdout).findings.map(({ id }: { id: string }) => id)
  expect(ids).toEqual(expect.arrayContaining(['table.unfit', 'client.no-error-listener']))
})

test('does its work to the end when nobody reads what it prints', async () => {
  const child = spawn(process.execPath, [PROGRAM, 'migrate', '--no-outbox', '--json'], {
    cwd: join(PROJECTS, 'esm'),
    env,
  })
  child.stdout.destroy()
  let said = ''
  child.stderr.on('data', (chunk) => {
    said += chunk
  })
  const code = await new Promise((resolve) => child.on('close', resolve))
  expect(code, said).toBe(3)
  expect(said).toMatch(/^corral: .*no products.*\n$/)
})

test('relays on when its connection is cut and the pool of the config listens to nothing', async () => {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  for (const statement of outboxTablesSql().up) await client.query(statement)
  const child = spawn(process.execPath, [PROGRAM, 'relay', '--json'], { cwd: join(PROJECTS, 'esm'), env })
  const ended = new Promise((resolve) => child.on('close', resolve))
  let printed = ''
  let cuts = 0
  child.stdout.on('data', async (chunk) => {
    printed += chunk
    const gained = printed.split('"gained"').length - 1
    if (gained === 2) child.kill('SIGTERM')
    if (gained !== 1 || cuts++ > 0) return
    await client.query(`select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and pid <> pg_backend_pid()
      and database = (select oid from pg_database where datname = current_database())`)
  })
  expect(await ended).toBe(0)
  expect(printed).toContain('"relay.failed"')
  await client.end()
})

test('ends long work in good order on SIGTERM', async () => {
  const child = spawn(process.execPath, [PROGRAM, 'relay', '--json'], { cwd: join(PROJECTS, 'esm'), env })
  let printed = ''
  child.stdout.on('data', (chunk) => {
    printed += chunk
    // As often as something is printed: npx, too, passes on what the process has got already.
    if (printed.includes('"started"')) child.kill('SIGTERM')
  })
  const code = await new Promise((resolve) => child.on('exit', resolve))
  expect(code).toBe(0)
  expect(
    printed
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).type)
      .at(-1),
  ).toBe('ended')
})
