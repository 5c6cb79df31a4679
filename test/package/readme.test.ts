import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { beforeAll, describe, expect, test } from 'vitest'
import { execute } from '../support/servers/database.js'
import { freshDatabase, freshNamespace, redisUrl } from '../support/services.js'
import { packed } from './packed.js'

const { consumer } = await packed()
const NODE_NEXT: ts.CompilerOptions = {
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  target: ts.ScriptTarget.ES2023,
}

/** The README's example: its first block of TypeScript. The tables it speaks of are its readers' own, so tests give it one. */
const EXAMPLE =
  /```ts\n(.*?)```/s
    .exec(readFileSync('README.md', 'utf8'))?.[1]
    ?.replace("namespace: 'shop'", `namespace: '${freshNamespace()}'`) ?? ''

/** Shows what the example left behind: the row as Corral answers it, by id and, after one more update, by slug. */
const LOOK = `
const product = await products.find(row.id)
const updated = await products.update(row.id, { price: '4.00' })
console.log(JSON.stringify({ product, fence: updated?.fence, bySlug: await products.findBy({ slug: 'tea' }) }))
await corral.close()
process.exit(0)
`

let databaseUrl: string

beforeAll(async () => {
  databaseUrl = await freshDatabase()
  await execute(
    databaseUrl,
    'create table products (id serial primary key, slug text unique not null, price numeric not null)',
  )
  const migrate = `const { Client } = require('pg')
    const { stampTableSql } = require('corral/migrations')
    const client = new Client(process.env.DATABASE_URL)
    client.connect().then(() => client.query(stampTableSql({ table: 'products', key: 'id' }).up.join(';'))).then(() => client.end())`
  run(['--input-type=commonjs', '--eval', migrate])
})

describe.each([
  ['import', 'readme.mts', EXAMPLE + LOOK],
  ['require', 'readme.cts', inFunction(EXAMPLE + LOOK)],
])("the README's example by %s", (_, name, source) => {
  const file = join(consumer, name)
  const output = file.replace(/ts$/, 'js')

  test('compiles as it stands, in a strict project', () => {
    writeFileSync(file, source)
    const program = ts.createProgram([file], {
      ...NODE_NEXT,
      strict: true,
      noEmit: true,
      types: ['node'],
      typeRoots: [join(consumer, 'node_modules', '@types')],
    })
    const own = program.getSourceFile(file)
    const complaints = [...program.getSyntacticDiagnostics(own), ...program.getSemanticDiagnostics(own)]
    expect(complaints.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))).toEqual([])
  })

  test('does what it says, on Postgres and Redis', async () => {
    await execute(databaseUrl, 'truncate products')
    const { outputText } = ts.transpileModule(source, { compilerOptions: NODE_NEXT, fileName: file })
    writeFileSync(output, outputText)
    const said = JSON.parse(run([output]))
    expect(said.product).toMatchObject({ slug: 'tea', price: '3.80' })
    expect(said.fence).toBe('fenced')
    expect(said.bySlug).toMatchObject({ slug: 'tea', price: '4.00' })
  })
})

/** CommonJS has no `await` at the top level: what follows the imports and types goes into a function. */
function inFunction(source: string): string {
  const start = source.indexOf('const db')
  return `${source.slice(0, start)}async function main() {\n${source.slice(start)}}\nmain()\n`
}

/** Runs Node where a user of the package would; returns what it printed. */
function run(args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: consumer,
    encoding: 'utf8',
    timeout: 60_000,
    env: { ...process.env, DATABASE_URL: databaseUrl, REDIS_URL: redisUrl() },
  })
  expect(status, stderr).toBe(0)
  return stdout
}
