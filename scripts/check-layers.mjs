/**
 * Holds `src` to its layers. Reports, and fails on:
 *  - an import that the layer of the file does not allow (a type-only import is an import too);
 *  - imports that form a cycle;
 *  - time or chance taken from anywhere but core/clock.ts, where tests can replace them;
 *  - a file that belongs to no layer, or is too long to be about one thing.
 *
 * Usage: node scripts/check-layers.mjs [folder, default src]
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix, resolve, sep } from 'node:path'
import ts from 'typescript'

/** What a table is put together from. */
const BELOW_TABLE = ['core', 'policy', 'engine', 'config', 'session', 'adapters/codec', 'adapters/postgres', 'jobs']
const BELOW_QUERY = [...BELOW_TABLE, 'table', 'transaction', 'repository', 'table-repository']

/**
 * What each layer may import: other layers, and packages. A file directly in `src` is a layer of its own. Layers are
 * listed from the bottom up, and `adapters/*` stands for every adapter; adapters never import one another.
 */
const LAYERS = {
  core: { layers: ['core'], packages: [] },
  policy: { layers: ['core', 'policy'], packages: [] },
  engine: { layers: ['core', 'policy', 'engine'], packages: ['p-limit', 'lru-cache', 'node:async_hooks'] },

  'adapters/memory': { layers: ['core', 'policy', 'adapters/memory'], packages: ['lru-cache'] },
  'adapters/redis': { layers: ['core', 'policy', 'adapters/redis'], packages: ['ioredis'] },
  'adapters/postgres': {
    layers: ['core', 'policy', 'adapters/postgres'],
    packages: ['kysely', 'pg', 'pg-logical-replication', 'node:net'],
  },
  'adapters/codec': { layers: ['core', 'policy', 'adapters/codec'], packages: ['node:zlib', 'node:util'] },
  'adapters/otel': { layers: ['core', 'policy', 'adapters/otel'], packages: ['@opentelemetry/api'] },

  jobs: { layers: ['core', 'policy', 'engine', 'jobs'], packages: [] },

  session: { layers: ['core', 'policy'], packages: [] },
  config: { layers: ['core', 'policy'], packages: [] },
  'relay-options': { layers: ['core', 'config'], packages: [] },
  'log-events': { layers: ['core'], packages: [] },
  migrations: { layers: ['core', 'adapters/postgres'], packages: [] },
  table: { layers: [...BELOW_TABLE, 'table'], packages: ['kysely', 'node:util'] },

  transaction: { layers: [...BELOW_TABLE, 'table'], packages: ['kysely'] },
  repository: { layers: [...BELOW_TABLE, 'table', 'transaction'], packages: ['kysely'] },
  'table-repository': { layers: [...BELOW_TABLE, 'table', 'transaction', 'repository'], packages: ['kysely'] },
  'fenced-lock': { layers: ['core', 'policy', 'engine', 'config', 'adapters/postgres'], packages: ['kysely'] },
  query: { layers: BELOW_QUERY, packages: ['kysely'] },

  assembly: {
    layers: ['core', 'policy', 'engine', 'adapters/*', 'jobs', 'config', 'relay-options', 'session', 'table'],
    packages: ['kysely', 'pg', 'ioredis', '@opentelemetry/api'],
  },
  'instance-options': { layers: ['core', 'config', 'adapters/redis'], packages: [] },
  inside: { layers: ['config', 'relay-options', 'adapters/*', 'assembly', 'table', 'table-repository'], packages: [] },
  client: {
    layers: [
      ...BELOW_QUERY,
      'adapters/*',
      'query',
      'fenced-lock',
      'relay-options',
      'assembly',
      'inside',
      'instance-options',
    ],
    packages: ['kysely', 'pg', 'ioredis', '@opentelemetry/api'],
  },
  testing: {
    layers: ['core', 'config', 'adapters/codec', 'adapters/postgres', 'session', 'testing'],
    packages: ['node:async_hooks', 'kysely'],
  },
  'relay-process': { layers: ['core', 'config', 'relay-options', 'client'], packages: [] },
  // The one layer that reads files, and that packages of its own belong to.
  cli: {
    layers: [...BELOW_QUERY, 'adapters/*', 'client', 'inside', 'relay-process', 'log-events', 'migrations', 'cli'],
    packages: ['commander', 'jiti', 'kysely', 'node:fs', 'node:path', 'node:process', 'node:url', 'node:util'],
  },
  index: {
    layers: [
      ...['core', 'config', 'session', 'table', 'transaction', 'repository', 'query', 'fenced-lock', 'client'],
      ...['adapters/codec', 'adapters/otel', 'log-events', 'relay-options', 'relay-process'],
      // For the types of what is given and answered.
      ...['engine', 'adapters/redis'],
    ],
    packages: [],
  },
}

/** Bytes and hashes: neither reaches outside the process. Random bytes do come in through core/clock.ts, see below. */
const PACKAGES_FOR_ALL = ['node:buffer', 'node:crypto']

const MAX_LINES = 350

/** The one file that reads clocks, starts timers and draws random numbers. */
const CLOCK_FILE = 'core/clock.ts'
const AMBIENT_MEMBERS = ['Date.now', 'Math.random', 'performance.now', 'process.hrtime', 'AbortSignal.timeout']
const AMBIENT_NAMES = [
  'setTimeout',
  'setInterval',
  'setImmediate',
  'randomUUID',
  'randomBytes',
  'randomInt',
  'getRandomValues',
]

const root = resolve(process.argv[2] ?? 'src')
const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .map((file) => file.split(sep).join('/'))
  .filter((file) => file.endsWith('.ts'))
  .sort()

/** @type {Map<string, string[]>} file -> the files it imports */
const graph = new Map()
const problems = files.flatMap((file) => checkFile(file))
problems.push(...cycles())

if (problems.length > 0) {
  console.error(problems.join('\n'))
  console.error(`${problems.length} problem(s). The layers are a table at the top of scripts/check-layers.mjs.`)
  process.exit(1)
}
console.log(`Layers: ${files.length} files, ${[...graph.values()].flat().length} imports, no problem`)

function checkFile(file) {
  const text = readFileSync(join(root, file), 'utf8')
  const found = []
  const lines = text.trimEnd().split('\n').length
  if (lines > MAX_LINES) found.push(`${file}: ${lines} lines; the limit is ${MAX_LINES}`)
  if (file !== CLOCK_FILE) found.push(...ambientUses(file, text))
  const layer = layerOf(file)
  if (LAYERS[layer] === undefined) return [...found, `${file}: no layer owns this file`]
  return [...found, ...checkImports(file, text, layer)]
}

/** `adapters/redis/scripts.ts` is of layer `adapters/redis`, `engine/reader.ts` of `engine`, `client.ts` of `client`. */
function layerOf(file) {
  const parts = file.replace(/\.ts$/, '').split('/')
  return parts[0] === 'adapters' ? parts.slice(0, 2).join('/') : parts[0]
}

function checkImports(file, text, layer) {
  const { layers, packages } = LAYERS[layer]
  const targets = []
  const found = []
  // The parser's own list: static, dynamic and re-exporting, types included.
  for (const { fileName } of ts.preProcessFile(text, true, true).importedFiles) {
    if (!fileName.startsWith('.')) {
      const allowed = [...packages, ...PACKAGES_FOR_ALL]
      if (!allowed.includes(packageOf(fileName))) found.push(`${file}: ${layer} may not import package ${fileName}`)
      continue
    }
    const target = posix.join(dirname(file), fileName).replace(/\.js$/, '.ts')
    targets.push(target)
    const itsLayer = layerOf(target)
    const isAllowed = layers.includes(itsLayer) || (itsLayer.startsWith('adapters/') && layers.includes('adapters/*'))
    if (!isAllowed) found.push(`${file}: ${layer} may not import ${target}`)
  }
  graph.set(file, targets)
  return found
}

/** `@scope/name/part` is of package `@scope/name`; Node's own modules keep their whole name. */
function packageOf(specifier) {
  if (specifier.startsWith('node:')) return specifier
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

/** Looks at the syntax tree, so that comments and strings may speak of time. */
function ambientUses(file, text) {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
  const found = []
  const visit = (node) => {
    const use = ambientUse(node)
    if (use !== undefined) {
      const { line } = source.getLineAndCharacterOfPosition(node.getStart())
      found.push(`${file}:${line + 1}: ${use} belongs in ${CLOCK_FILE}; take a Clock or a Chance instead`)
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

function ambientUse(node) {
  if (ts.isPropertyAccessExpression(node)) {
    const member = node.getText()
    if (AMBIENT_MEMBERS.includes(member)) return member
    return /^random|^getRandom/.test(node.name.text) && AMBIENT_NAMES.includes(node.name.text) ? member : undefined
  }
  if (ts.isNewExpression(node) && node.expression.getText() === 'Date' && !node.arguments?.length) return 'new Date()'
  if (!ts.isIdentifier(node) || !AMBIENT_NAMES.includes(node.text)) return undefined
  // `socket.setTimeout` and `{ setTimeout: … }` are somebody's own.
  return isMemberName(node) ? undefined : node.text
}

function isMemberName(node) {
  const { parent } = node
  const isMember =
    ts.isPropertyAccessExpression(parent) ||
    ts.isPropertyAssignment(parent) ||
    ts.isMethodSignature(parent) ||
    ts.isMethodDeclaration(parent)
  return isMember && parent.name === node
}

/** Every cycle once, as the files it goes through. */
function cycles() {
  const state = new Map()
  const found = []
  const visit = (file, path) => {
    if (state.get(file) === 'done') return
    if (state.get(file) === 'open') {
      found.push(`cycle: ${[...path.slice(path.indexOf(file)), file].join(' -> ')}`)
      return
    }
    state.set(file, 'open')
    for (const next of graph.get(file) ?? []) visit(next, [...path, file])
    state.set(file, 'done')
  }
  for (const file of files) visit(file, [])
  return found
}
