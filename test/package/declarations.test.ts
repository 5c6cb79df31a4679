import { writeFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import ts from 'typescript'
import { expect, test } from 'vitest'
import { packed } from './packed.js'

const { consumer } = packed()

/** A user's program: rows, ids and lookups are typed from the Kysely database alone. */
const PROGRAM = `
import { createCorral, isCorralError } from 'corral'
import { stampTable } from 'corral/migrations'
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
export const migration = stampTable({ table: 'products', key: ['id'] })

// @ts-expect-error: ids are numbers
products.find('42')
// @ts-expect-error: there is no such table
corral.repository('unknown', { key: 'id' })
`

test('compile in a strict NodeNext project, for import and for require', () => {
  const files = ['program.mts', 'program.cts'].map((name) => join(consumer, name))
  for (const file of files) writeFileSync(file, PROGRAM)
  const program = ts.createProgram(files, {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2023,
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    skipLibCheck: false,
    types: [],
  })
  // Our declarations must be sound by themselves. Those of other packages are not ours to check, and take long.
  const ours = program.getSourceFiles().filter(({ fileName }) => isOurs(fileName))
  const complaints = ours
    .flatMap((file) => [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)])
    .map(({ file, messageText }) => `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`)
  expect(complaints).toEqual([])
  expect(ours.map(({ fileName }) => extname(fileName)).sort()).toEqual(expect.arrayContaining(['.cts', '.mts', '.ts']))
})

function isOurs(file: string): boolean {
  return (
    file.startsWith(join(consumer, 'program.')) || file.startsWith(join(consumer, 'node_modules', 'corral', 'dist'))
  )
}
