import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { describe, expect, test } from 'vitest'
import { packed } from './packed.js'

/**
 * The public API, door by door. A name that is added here is a promise; a name that goes is a breaking change and
 * belongs in the changelog.
 */
const DOORS: Readonly<Record<string, { readonly values: readonly string[]; readonly types: readonly string[] }>> = {
  corral: {
    values: ['CorralError', 'DEFAULTS', 'StaleWriteError', 'createCorral', 'isCorralError', 'logEvents', 'startRelay'],
    types: [
      ...[
        'BusOptions',
        'CacheOptions',
        'CodecOptions',
        'Consistency',
        'Corral',
        'CorralEvent',
        'CorralOptions',
        'CorralStats',
      ],
      ...[
        'CorralTransaction',
        'EncryptionOptions',
        'ErrorCode',
        'EventLevel',
        'EventLogger',
        'TelemetryOptions',
        'ExplainedCopy',
        'Explanation',
        'HotKey',
        'HotKeyChoice',
        'HotKeyOptions',
        'L1Options',
        'LeaseOptions',
        'LoadOptions',
        'ReadOptions',
      ],
      ...[
        'RedisClient',
        'RefreshOptions',
        'RelayOptions',
        'RelayProcess',
        'RelayProcessOptions',
        'RelayTimes',
        'Repository',
        'RepositoryOptions',
        'RowOf',
        'Session',
        'SlotOptions',
        'TransactionOptions',
      ],
      ...['FencedLock', 'LockOptions'],
      ...['AuditFigures', 'AuditOptions', 'AuditProgress', 'AuditReport', 'Drift', 'DriftAges', 'DriftKind'],
      ...['RebuildFigures', 'RebuildOptions', 'RebuildProgress'],
      ...['CacheableQuery', 'CachedQuery', 'QueryOptions', 'QueryReadOptions', 'WarmProgress', 'WarmUpOptions'],
      ...['TransactionRepository', 'TransactionResult', 'TtlOptions', 'UpdateOptions', 'WriteOptions', 'WriteResult'],
    ],
  },
  'corral/migrations': {
    values: [
      'fencedLocks',
      'fencedLocksSql',
      'outboxTable',
      'outboxTableSql',
      'outboxTables',
      'outboxTablesSql',
      'slotTable',
      'slotTableSql',
      'slotTables',
      'slotTablesSql',
      'stampTable',
      'stampTableSql',
    ],
    types: ['CorralMigration', 'OutboxTableOptions', 'SlotTableOptions', 'StampTableOptions', 'Statements'],
  },
  'corral/testing': {
    values: ['History', 'Observer', 'checkHistory', 'compareAtRest', 'describeViolation', 'formatReport'],
    types: [
      ...[
        'AtRest',
        'AtRestOptions',
        'CheckName',
        'CheckOptions',
        'HistoryRecords',
        'HistoryReport',
        'LoadFigures',
        'ObserverOptions',
      ],
      ...['LoadRecord', 'ReadRecord', 'RestRecord', 'RestTable', 'ScannableNode', 'ScannableRedis', 'StalenessFigures'],
      ...['Violation', 'WatchedTable', 'WriteRecord'],
    ],
  },
}

const { consumer } = await packed()
const NODE_NEXT = { module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext }
const root = join(consumer, 'node_modules', 'corral')
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

const FORMATS = ['import', 'require'] as const
/** All declarations in one program: what they mention is most of what it reads, and much the same for each. */
const program = ts.createProgram(
  Object.keys(DOORS).flatMap((door) => FORMATS.map((format) => declarationsOf(door, format))),
  NODE_NEXT,
)

test('package.json opens these doors and no others', () => {
  const opened = Object.keys(manifest.exports).map((key) => key.replace(/^\./, 'corral'))
  expect(opened.sort()).toEqual([...Object.keys(DOORS), 'corral/package.json'].sort())
})

describe.each(Object.entries(DOORS))('%s', (door, { values, types }) => {
  test('gives exactly these values to import', () => {
    expect(
      namesPrintedBy(['--input-type=module', '--eval', `console.log(...Object.keys(await import('${door}')))`]),
    ).toEqual(values)
  })

  test('gives the same values to require', () => {
    expect(
      namesPrintedBy(['--input-type=commonjs', '--eval', `console.log(...Object.keys(require('${door}')))`]),
    ).toEqual(values)
  })

  test.each(FORMATS)('declares exactly these names for %s', (format) => {
    const names = exportsOf(declarationsOf(door, format)).map(({ name }) => name)
    expect(names.sort()).toEqual([...values, ...types].sort())
  })
})

/** Of what a public signature mentions these need no name: the first two are words of the compiler, of the others single members are taken. */
const NAMELESS = ['TypeProblem', 'WrongColumn', 'OptionGroups', 'Entry', 'NewEntry']

test('what the type of a public name mentions can be named by those who write declarations of their own', () => {
  const checker = program.getTypeChecker()
  const files = Object.keys(DOORS).map((door) => declarationsOf(door, 'import'))
  const exported = new Set(files.flatMap(exportsOf).map((name) => real(checker, name)))
  const mentioned = new Set(exported)
  // Grows while it is gone through.
  for (const symbol of mentioned) {
    for (const declaration of symbol.declarations ?? []) {
      forEachReference(declaration, (name) => {
        const found = checker.getSymbolAtLocation(name)
        if (found) mentioned.add(real(checker, found))
      })
    }
  }
  const unnamed = [...mentioned].filter((symbol) => !exported.has(symbol) && isOurInterface(symbol))
  expect(unnamed.map(({ name }) => name).sort()).toEqual(NAMELESS.sort())
})

function forEachReference(node: ts.Node, visit: (name: ts.Node) => void): void {
  if (ts.isTypeReferenceNode(node)) visit(node.typeName)
  if (ts.isExpressionWithTypeArguments(node)) visit(node.expression)
  ts.forEachChild(node, (child) => forEachReference(child, visit))
}

/** Of an alias that it cannot name the compiler writes down what it stands for. */
function isOurInterface({ flags, declarations = [] }: ts.Symbol): boolean {
  const isNamed = (flags & (ts.SymbolFlags.Interface | ts.SymbolFlags.Class)) !== 0
  return isNamed && declarations.some((each) => each.getSourceFile().fileName.startsWith(join(root, 'dist')))
}

function real(checker: ts.TypeChecker, symbol: ts.Symbol): ts.Symbol {
  return symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
}

function namesPrintedBy(args: readonly string[]): string[] {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: consumer, encoding: 'utf8' })
  expect(stderr).toBe('')
  expect(status).toBe(0)
  return stdout.trim().split(' ').sort()
}

/** Where the package has the declarations of a door. */
function declarationsOf(door: string, format: (typeof FORMATS)[number]): string {
  return join(root, manifest.exports[door.replace(/^corral/, '.')][format].types)
}

/** What a declaration file exports, types included. */
function exportsOf(file: string): readonly ts.Symbol[] {
  const source = program.getSourceFile(file)
  const symbol = source && program.getTypeChecker().getSymbolAtLocation(source)
  if (symbol === undefined) throw new Error(`${file} is no module`)
  return program.getTypeChecker().getExportsOfModule(symbol)
}
