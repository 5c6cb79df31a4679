import { writeFileSync } from 'node:fs'
import { extname, join, resolve } from 'node:path'
import ts from 'typescript'
import { expect, test } from 'vitest'
import { packed } from './packed.js'

const { consumer } = await packed()

const STRICT: ts.CompilerOptions = {
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  target: ts.ScriptTarget.ES2023,
  strict: true,
  exactOptionalPropertyTypes: true,
  skipLibCheck: false,
  types: [],
}

/** A user's program: rows, ids and lookups are typed from the Kysely database alone. */
const PROGRAM = `
import { createCorral, isCorralError } from 'corral'
import { type CorralMigration, fencedLocks, outboxTables, slotTables, stampTable } from 'corral/migrations'
import { Redis } from 'ioredis'
import type { Kysely } from 'kysely'

interface Database {
  products: { id: number; slug: string; price: number }
}

declare const db: Kysely<Database>
const corral = createCorral({ db, redis: new Redis(), namespace: 'shop' })
export const products = corral.repository('products', { key: 'id', unique: ['slug'] })
export const price: Promise<number | undefined> = products.find(42).then((product) => product?.price)
export const failed: boolean = isCorralError(new Error())
export const { up, down } = stampTable({ table: 'products', key: ['id'] })
export const migrated: Promise<void>[] = [stampTable({ table: 'products', key: 'id' }), outboxTables(), slotTables(), fencedLocks()].map(
  (migration: CorralMigration) => migration.up(db),
)

// @ts-expect-error: ids are numbers
products.find('42')
// @ts-expect-error: there is no such table
corral.repository('unknown', { key: 'id' })
`

/** A migration is one for the Migrator of the Kysely that is installed here. */
const FOR_MIGRATOR = `
import type { Migration } from 'kysely'
export const forMigrator: Migration = stampTable({ table: 'products', key: 'id' })
`

/** Kysely 0.29, where it differs: names that have moved are left behind as types that fit nothing, and are not in 0.28 where they are now. */
const KYSELY_0_29 = `
export * from '${resolve('node_modules', 'kysely')}'
interface Moved { readonly moved: "import from 'kysely/migration' instead" }
${[
  'MigrateOptions',
  'Migration',
  'MigrationInfo',
  'MigrationProvider',
  'MigrationResult',
  'MigrationResultSet',
  'Migrator',
  'MigratorProps',
]
  .map((name) => `export type ${name} = Moved`)
  .join('\n')}
`

/** A module of a user who builds declarations of their own: it exports what every public call gives. */
const DECLARING = `
import { createCorral, DEFAULTS, logEvents, startRelay } from 'corral'
import * as migrations from 'corral/migrations'
import * as testing from 'corral/testing'
import type { Generated, Kysely } from 'kysely'

interface Database {
  products: { id: Generated<number>; slug: string; price: number | null }
}

declare const db: Kysely<Database>
export const corral = createCorral({ db, namespace: 'shop' })
export const products = corral.repository('products', { key: 'id', unique: ['slug'] })
export const query = corral.query('all', (q) => q.selectFrom('products').selectAll())
export const rows = query()
export const [stats, hot, session] = [corral.stats(), corral.hotKeys(), corral.session()]
export const jobs = [corral.audit(), corral.rebuild({ mode: 'evict' }), corral.bumpEpoch(), products.warm('recent')]
export const reads = { one: products.find(1), by: products.findBy({ slug: 'tea' }), why: products.explain(1) }
export const writes = { insert: products.insert({ slug: 'tea' }), update: products.update(1, {}), remove: products.delete(1) }
export const lock = corral.withFencedLock('stock', async (held) => held)
export const done = corral.transaction(async (tx) => ({ tx, inside: products.in(tx), locked: await products.in(tx).lock(1) }))
export const relays = { startRelay, logEvents, DEFAULTS }
export const { findBy, find, peek } = products
export const slot = migrations.slotTableSql({ table: 'products', key: 'id' })
export const made = { ...migrations, outbox: migrations.outboxTableSql({ table: 'products', key: 'id' }) }
export const history = new testing.History()
export const watched = new testing.Observer({ process: 'web', history }).watch(products, { name: 'products', key: 'id' })
export const checks = { ...testing, report: testing.checkHistory(history) }
export class Shop {
  products = products
  hottest = () => corral.hotKeys(1)
  why = async () => (await products.explain(1)).copies
}
`

test('compile in a strict NodeNext project, for import and for require', () => {
  const files = written(['program.mts', 'program.cts'], PROGRAM + FOR_MIGRATOR)
  const program = ts.createProgram(files, { ...STRICT, noEmit: true })
  // Our declarations must be sound by themselves. Those of other packages are not ours to check, and take long.
  const ours = program.getSourceFiles().filter(({ fileName }) => isOurs(fileName))
  expect(ours.flatMap((file) => complaintsOf(program, file))).toEqual([])
  expect(ours.map(({ fileName }) => extname(fileName)).sort()).toEqual(expect.arrayContaining(['.cts', '.mts', '.ts']))
})

test('compile with either end of the range of Kysely that the package allows', () => {
  const kysely = join(consumer, 'kysely-0.29.d.ts')
  writeFileSync(kysely, KYSELY_0_29)
  const files = written(['program-0.29.mts', 'program-0.29.cts'], PROGRAM)
  const program = ts.createProgram(files, { ...STRICT, noEmit: true, paths: { kysely: [kysely] } })
  const ours = program.getSourceFiles().filter(({ fileName }) => isOurs(fileName))
  expect(ours.flatMap((file) => complaintsOf(program, file))).toEqual([])
})

test('let a module that exports what they give be declared', () => {
  const [file = ''] = written(['declaring.mts'], DECLARING)
  const program = ts.createProgram([file], {
    ...STRICT,
    skipLibCheck: true,
    declaration: true,
    emitDeclarationOnly: true,
  })
  const { diagnostics } = program.emit(undefined, () => {})
  expect([...complaintsOf(program, program.getSourceFile(file)), ...diagnostics.map(inWords)]).toEqual([])
})

/** Mistakes, and what the compiler has to say about each: the words that help, wherever in its message. */
const MISTAKES: readonly (readonly [code: string, ...words: string[]])[] = [
  ["createCorral({ db, namespce: 'shop' })", "'namespce' does not exist", "Did you mean to write 'namespace'?"],
  ["createCorral({ db, namespace: 'shop', onEvnt: () => {} })", "Did you mean to write 'onEvent'?"],
  ['createCorral({ db })', "Property 'namespace' is missing"],
  ["createCorral({ namespace: 'shop' })", "Property 'db' is missing"],
  ["corral.repository('product', { key: 'id' })", '"product"', '"products"'],
  ["corral.repository('products', { key: 'idd' })", 'the table has no column `idd`', '"id" | "slug" | "kind"'],
  ["corral.repository('products', { key: ['id', 'idd'] })", 'the table has no column `idd`', '"id" | "slug" | "kind"'],
  ["corral.repository('products', { key: 'price' })", '`price` may be null, which no column of a key may be'],
  ["corral.repository('products', { key: 'at' })", '`at` holds other values than text, numbers, bigints and booleans'],
  ["corral.repository('products', { key: [] })", 'a key has at least one column'],
  ["corral.repository('products', { key: 'id', unique: 'slug' })", "'string' is not assignable to type 'readonly"],
  ["corral.repository('products', { key: 'id', unique: ['slg'] })", 'the table has no column `slg`', '"price"'],
  ["corral.repository('products', { key: 'id', unique: [['kind', 'slg']] })", 'the table has no column `slg`'],
  ["corral.repository('products', { key: 'id', unique: ['at'] })", '`at` holds other values than text'],
  ["corral.repository('products', { key: 'id', uniqe: ['slug'] })", "Did you mean to write 'unique'?"],
  ["products.findBy({ slug: 'tea', kind: 'x', price: 1 })", 'give the columns of one lookup only'],
  ["products.findBy({ kind: 'x' })", "Property 'price' is missing"],
  ["plain.findBy({ slug: 'tea' })", 'declare the column in `unique` to look rows up by it'],
]

test.each(MISTAKES.map(([code, ...words], at) => ({ code, words, at })))('answer $code in words', ({ at, words }) => {
  const said = answers()[at] ?? ''
  for (const word of words) expect(said).toContain(word)
})

let answered: readonly string[] | undefined

/** What the compiler says of each mistake. */
function answers(): readonly string[] {
  answered ??= (() => {
    const before = `import { createCorral } from 'corral'
import type { Generated, Kysely } from 'kysely'
interface Database { products: { id: Generated<number>; slug: string; kind: string; price: number | null; at: Date } }
declare const db: Kysely<Database>
const corral = createCorral({ db, namespace: 'shop' })
const products = corral.repository('products', { key: 'id', unique: ['slug', ['kind', 'price']] })
const plain = corral.repository('products', { key: 'id' })
`
    const [file = ''] = written(['mistakes.mts'], before + MISTAKES.map(([code]) => code).join('\n'))
    const program = ts.createProgram([file], { ...STRICT, skipLibCheck: true, noErrorTruncation: true, noEmit: true })
    const source = program.getSourceFile(file)
    const first = before.split('\n').length - 1
    const said = MISTAKES.map(() => '')
    for (const { start = 0, messageText } of program.getSemanticDiagnostics(source)) {
      const line = (source?.getLineAndCharacterOfPosition(start).line ?? 0) - first
      said[line] += ts.flattenDiagnosticMessageText(messageText, '\n')
    }
    return said
  })()
  return answered
}

function written(names: readonly string[], text: string): string[] {
  const files = names.map((name) => join(consumer, name))
  for (const file of files) writeFileSync(file, text)
  return files
}

function complaintsOf(program: ts.Program, file: ts.SourceFile | undefined): string[] {
  return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(inWords)
}

function inWords({ file, messageText }: ts.Diagnostic): string {
  return `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`
}

function isOurs(file: string): boolean {
  return file.startsWith(join(consumer, 'program')) || file.startsWith(join(consumer, 'node_modules', 'corral', 'dist'))
}
