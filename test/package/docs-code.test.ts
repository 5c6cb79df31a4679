import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import ts from 'typescript'
import { beforeAll, describe, expect, test } from 'vitest'
import { DOCS_WORLD } from './docs-world.js'
import { packed } from './packed.js'

const { consumer } = await packed()

interface Block {
  /** Where it stands, as `docs/guides/queries.md:31`. */
  readonly place: string
  readonly code: string
}

const pages = ['README.md', ...markdownFilesIn('docs'), ...markdownFilesIn('examples')]
const blocks = pages.flatMap(blocksOf)
/** What is not ours to have types for: code before a migration, and packages that are none of the project's. */
const scripts = pages.flatMap((file) => fencedIn(file, 'js|javascript'))
const FOLDER = join(consumer, 'docs-code')
let complaints: ReadonlyMap<string, string[]>

/** The kinds of module that a reader's project may have: ECMAScript's, and CommonJS. */
const KINDS = ['mts', 'cts'] as const

beforeAll(() => {
  mkdirSync(FOLDER, { recursive: true })
  // A program for each kind: a type that is imported and one that is required are two types.
  complaints = new Map(KINDS.flatMap((kind) => [...check(filesOf(kind))]))
})

test('the documentation has code to check', () => {
  expect(blocks.length).toBeGreaterThan(10)
})

test.each(KINDS)('what it takes for granted compiles as .%s', (kind) => {
  expect(complaints.get(`world.${kind}`)).toEqual([])
})

describe.each(KINDS)('in a project of .%s', (kind) => {
  test.each(blocks.map(({ place }, at) => [place, at] as const))('%s compiles as it stands', (_, at) => {
    expect(complaints.get(nameOf(at, kind))).toEqual([])
  })
})

test.each(scripts.map(({ place, code }) => [place, code] as const))('%s is JavaScript', (_, code) => {
  const { diagnostics = [] } = ts.transpileModule(code, {
    fileName: 'block.mjs',
    reportDiagnostics: true,
    compilerOptions: { allowJs: true, module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 },
  })
  expect(diagnostics.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))).toEqual([])
})

/** What the compiler says of each file, in a strict project that has the package installed. */
function check(files: readonly string[]): Map<string, string[]> {
  const program = ts.createProgram([...files], {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2023,
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    types: ['node'],
    typeRoots: [join(consumer, 'node_modules', '@types')],
  })
  return new Map(
    files.map((file) => {
      const source = program.getSourceFile(file)
      const found = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
      return [
        file.slice(FOLDER.length + 1),
        found.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n')),
      ]
    }),
  )
}

/** Imports stay at the top; what follows gets a scope of its own, where its names hide those of the world. */
function asModule(code: string): string {
  if (/^export /m.test(code)) return code
  const { statements } = ts.createSourceFile('block.mts', code, ts.ScriptTarget.Latest, true)
  const isImport = (statement: ts.Statement) => ts.isImportDeclaration(statement)
  const textOf = (list: readonly ts.Statement[]) => list.map((statement) => statement.getFullText()).join('')
  const imports = statements.filter(isImport)
  const rest = statements.filter((statement) => !isImport(statement))
  return `${textOf(imports)}\nexport async function example() {${textOf(rest)}\n}\n`
}

function blocksOf(file: string): Block[] {
  const found = fencedIn(file, 'ts|typescript')
  // The tutorial is one program in pieces.
  return basename(file) === 'tutorial.md' ? [{ place: file, code: found.map(({ code }) => code).join('') }] : found
}

function fencedIn(file: string, language: string): Block[] {
  const text = readFileSync(file, 'utf8')
  return [...text.matchAll(new RegExp(`^\`\`\`(?:${language})\\n(.*?)^\`\`\``, 'gms'))].map((match) => ({
    place: `${file}:${text.slice(0, match.index).split('\n').length}`,
    code: match[1] ?? '',
  }))
}

function markdownFilesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name))
    .sort()
}

/** Writes all blocks as modules of that kind, and what they take for granted. */
function filesOf(kind: (typeof KINDS)[number]): string[] {
  const texts = [
    [`world.${kind}`, DOCS_WORLD] as const,
    ...blocks.map(({ code }, at) => [nameOf(at, kind), asModule(code)] as const),
  ]
  return texts.map(([name, text]) => {
    const file = join(FOLDER, name)
    writeFileSync(file, text)
    return file
  })
}

function nameOf(at: number, kind: (typeof KINDS)[number]): string {
  return `block-${at}.${kind}`
}
