import {
  CamelCasePlugin,
  type CompiledQuery,
  DeduplicateJoinsPlugin,
  type KyselyPlugin,
  ParseJSONResultsPlugin,
  WithSchemaPlugin,
} from 'kysely'
import type { AnyDatabase } from './catalog-query.js'
import { isNode } from './operation-tree.js'

/** More are compiled each time: an application that writes ever other sets of columns is not remembered for it. */
const MAX_STATEMENTS = 256
/** What they make of a statement depends on nothing else. Of others nobody knows: a plugin may add who writes, or when. */
const PURE_PLUGINS: readonly unknown[] = [
  CamelCasePlugin,
  DeduplicateJoinsPlugin,
  ParseJSONResultsPlugin,
  WithSchemaPlugin,
]

interface Statement {
  compile(): CompiledQuery
}

/**
 * Compiled statements, one for all that differ only in their values. Building a statement with Kysely and compiling it takes longer than
 * the database takes to run it.
 */
export class KnownStatements {
  readonly #statements = new Map<string, CompiledQuery>()
  /** Of the first database that asked. */
  #plugins: readonly KyselyPlugin[] | undefined

  /**
   * The rows that a statement returns, and the statement as Kysely knows it.
   *
   * @param shape everything that the statement's text depends on, but for the database's plugins.
   * @param values its parameters, in their order. Where Kysely finds others, or one is an expression, the statement is made anew each time.
   */
  async run(db: AnyDatabase, shape: string, values: readonly unknown[], make: () => Statement) {
    const query = this.#known(db, shape, values) ?? this.#learn(db, shape, values, make().compile())
    const { rows } = await db.executeQuery<Record<string, unknown>>(query)
    return { rows, node: query.query }
  }

  #known(db: AnyDatabase, shape: string, values: readonly unknown[]): CompiledQuery | undefined {
    const known = this.#statements.get(shape)
    if (known === undefined || !this.#hasSamePlugins(db) || !values.every(isPlain)) return undefined
    return { ...known, parameters: values }
  }

  #learn(db: AnyDatabase, shape: string, values: readonly unknown[], compiled: CompiledQuery): CompiledQuery {
    this.#plugins ??= db.getExecutor().plugins
    const { parameters } = compiled
    const isSame = parameters.length === values.length && parameters.every((value, at) => Object.is(value, values[at]))
    const isKept = isSame && values.every(isPlain) && this.#plugins.every(isPure) && this.#hasSamePlugins(db)
    if (isKept && this.#statements.size < MAX_STATEMENTS) {
      this.#statements.set(shape, { ...compiled, query: withoutValues(compiled.query), parameters: [] })
    }
    return compiled
  }

  #hasSamePlugins(db: AnyDatabase): boolean {
    const { plugins } = db.getExecutor()
    return plugins.length === this.#plugins?.length && plugins.every((plugin, at) => plugin === this.#plugins?.[at])
  }
}

/** What is kept for long must not hold on to what somebody once wrote. */
function withoutValues<Node extends object>(node: Node): Node {
  if (!isNode(node)) return node
  const { kind } = node
  if (kind === 'ValueNode') return { ...node, value: undefined }
  if (kind === 'PrimitiveValueListNode') return { ...node, values: [] }
  const inside = (value: unknown): unknown =>
    Array.isArray(value) ? value.map(inside) : isNode(value) ? withoutValues(value) : value
  return Object.fromEntries(Object.entries(node).map(([name, value]) => [name, inside(value)])) as Node
}

function isPure(plugin: KyselyPlugin): boolean {
  return PURE_PLUGINS.includes(plugin.constructor)
}

/** Kysely makes a parameter of it, and nothing else. */
function isPlain(value: unknown): boolean {
  if (typeof value === 'function') return false
  return typeof value !== 'object' || value === null || !('toOperationNode' in value)
}
