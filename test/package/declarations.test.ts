import { writeFileSync } from 'node:fs'
import { extname, join, resolve } from 'node:path'
import ts from 'typescript'
import { expect, test } from 'vitest'
import { packed } from './packed.js'

const { consumer } = packed()

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

test('compile in a strict NodeNext project, for import and for require', () => {
  const { complaints, ours } = compile('program', PROGRAM + FOR_MIGRATOR)
  expect(complaints).toEqual([])
  expect(ours.map(({ fileName }) => extname(fileName)).sort()).toEqual(expect.arrayContaining(['.cts', '.mts', '.ts']))
})

test('compile with either end of the range of Kysely that the package allows', () => {
  const kysely = join(consumer, 'kysely-0.29.d.ts')
  writeFileSync(kysely, KYSELY_0_29)
  expect(compile('program-0.29', PROGRAM, { kysely: [kysely] }).complaints).toEqual([])
})

function compile(name: string, text: string, paths: ts.MapLike<string[]> = {}) {
  const files = [`${name}.mts`, `${name}.cts`].map((file) => join(consumer, file))
  for (const file of files) writeFileSync(file, text)
  const program = ts.createProgram(files, {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2023,
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    skipLibCheck: false,
    types: [],
    paths,
  })
  // Our declarations must be sound by themselves. Those of other packages are not ours to check, and take long.
  const ours = program.getSourceFiles().filter(({ fileName }) => isOurs(fileName))
  const complaints = ours
    .flatMap((file) => [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)])
    .map(({ file, messageText }) => `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`)
  return { complaints, ours }
}

function isOurs(file: string): boolean {
  return file.startsWith(join(consumer, 'program')) || file.startsWith(join(consumer, 'node_modules', 'corral', 'dist'))
}
