import {
  AggregateFunctionNode,
  AliasNode,
  ColumnNode,
  type CommonTableExpressionNode,
  FunctionNode,
  type OperationNode,
  RawNode,
  ReferenceNode,
  SelectModifierNode,
  SelectQueryNode,
  TableNode,
  ValueNode,
  type WithNode,
} from 'kysely'
import { type Constraint, constraintsOf, type Source } from './constrained-columns.js'
import {
  aliasNameOf,
  childrenOf,
  embeddedIn,
  type Field,
  rawTable,
  type TableName,
  tableNameOf,
} from './operation-tree.js'
import { readRawSql } from './raw-sql.js'
import { isCurrentTime } from './sql-functions.js'

/** One place at which a query reads a table. */
export interface TableUse {
  readonly table: TableName
  /** The name its columns are qualified with; undefined: it may be any. */
  readonly alias: string | undefined
  /** Each alone bounds the rows that matter here. Empty: all rows may. */
  readonly constraints: readonly Constraint[]
}

/** What a query's operation tree tells about what its result depends on. */
export interface QueryFacts {
  /** Every table it reads, once for each place. */
  readonly tables: readonly TableUse[]
  /** Functions it calls, by name; whether they are harmless, the catalog knows. */
  readonly functions: readonly string[]
  /** What it reads as columns; whether they are, or calls that are written like columns, the catalog knows. */
  readonly fields: readonly Field[]
  /** Why its result must not be kept whatever it reads; undefined: nothing speaks against it. */
  readonly changing: string | undefined
  /** Why it may read tables that are not in `tables`; undefined: it does not. */
  readonly opaque: string | undefined
}

/**
 * Node kinds whose children say all there is to say about them. A kind that is not here is reported as opaque, so that a
 * later Kysely cannot bring in a table unseen.
 */
const PLAIN_KINDS = new Set<string>([
  ...['IdentifierNode', 'SchemableIdentifierNode', 'ColumnNode', 'SelectAllNode', 'OperatorNode', 'DataTypeNode'],
  ...[
    'SelectionNode',
    'AliasNode',
    'FromNode',
    'JoinNode',
    'OnNode',
    'WhereNode',
    'HavingNode',
    'ListNode',
    'TupleNode',
  ],
  ...['AndNode', 'OrNode', 'ParensNode', 'BinaryOperationNode', 'UnaryOperationNode', 'CaseNode', 'WhenNode'],
  ...['ValueNode', 'ValueListNode', 'PrimitiveValueListNode', 'ValuesNode', 'CollateNode', 'FetchNode'],
  ...['OrderByNode', 'OrderByItemNode', 'GroupByNode', 'GroupByItemNode', 'LimitNode', 'OffsetNode'],
  ...['OverNode', 'PartitionByNode', 'PartitionByItemNode', 'SetOperationNode'],
  ...['JSONReferenceNode', 'JSONPathNode', 'JSONPathLegNode', 'JSONOperatorChainNode'],
])
const WRITES: Record<string, string> = {
  InsertQueryNode: 'INSERT',
  UpdateQueryNode: 'UPDATE',
  DeleteQueryNode: 'DELETE',
  MergeQueryNode: 'MERGE',
}
const PLAIN_FUNCTION = /^[a-z_][\w$]*(?:\.[a-z_][\w$]*)?$/i

/**
 * Reads a query's dependencies off its operation tree, as `compile().query` gives it: transformed by all plugins, so the names
 * are the database's own.
 */
export function readDependencies(root: OperationNode): QueryFacts {
  return new Reading().of(root)
}

/** Names that stand for a WITH query at some place in the tree, and not for a table. */
type Scope = ReadonlySet<string>

class Reading {
  readonly #tables: TableUse[] = []
  readonly #functions = new Set<string>()
  readonly #fields: Field[] = []
  #changing: string | undefined
  #opaque: string | undefined

  of(root: OperationNode): QueryFacts {
    this.#visit(root, new Set())
    return {
      tables: this.#tables,
      functions: [...this.#functions],
      fields: this.#fields,
      changing: this.#changing,
      opaque: this.#opaque,
    }
  }

  #visit(node: OperationNode, scope: Scope): void {
    if (SelectQueryNode.is(node)) this.#visitSelect(node, scope)
    else if (RawNode.is(node)) this.#visitRaw(node, scope)
    else if (ReferenceNode.is(node)) this.#visitReference(node)
    // Outside FROM and JOIN a table's name stands for the rows of a source that was visited there.
    else if (!TableNode.is(node)) this.#visitPlain(node, scope)
  }

  #visitReference({ table, column }: ReferenceNode): void {
    if (table && ColumnNode.is(column)) {
      this.#fields.push({ of: table.table.identifier.name, name: column.column.name })
    }
  }

  #visitPlain(node: OperationNode, scope: Scope): void {
    if (FunctionNode.is(node) || AggregateFunctionNode.is(node)) this.#visitFunction(node.func)
    else if (SelectModifierNode.is(node)) this.#visitModifier(node)
    else if (WRITES[node.kind])
      this.#changing ??= `it contains ${WRITES[node.kind]}: a cached query must not write or lock`
    else if (node.kind === 'ExplainNode') this.#changing ??= 'it asks for a plan'
    else if (node.kind === 'CastNode') this.#visitCast(node)
    else if (ValueNode.is(node) && node.immediate) this.#visitLiteral(node)
    else if (!PLAIN_KINDS.has(node.kind)) this.#opaque ??= `it contains ${node.kind}, which Corral does not know`
    for (const child of childrenOf(node)) this.#visit(child, scope)
  }

  #visitSelect(select: SelectQueryNode, outer: Scope): void {
    const { with: withNode, from, joins = [], ...rest } = select
    const scope = withNode ? this.#visitWith(withNode, outer) : outer
    const places = [
      ...(from?.froms ?? []).map((node) => ({ node, join: undefined })),
      ...joins.map((join) => ({ node: join.table, join })),
    ]
    const sources = places.map(({ node, join }) => ({ ...this.#visitSource(node, scope), join }))
    const constraints = constraintsOf(select, sources)
    sources.forEach(({ table, alias }, at) => {
      if (table) this.#tables.push({ table, alias, constraints: constraints[at] as Constraint[] })
    })
    for (const { on } of joins) if (on) this.#visit(on, scope)
    for (const child of childrenOf(rest as OperationNode)) this.#visit(child, scope)
  }

  /** A WITH query sees those before it; under RECURSIVE all of them, itself included. */
  #visitWith({ expressions, recursive }: WithNode, outer: Scope): Scope {
    const scope = new Set(outer)
    const nameOf = ({ name }: CommonTableExpressionNode) => name.table.table.identifier.name
    if (recursive) for (const each of expressions) scope.add(nameOf(each))
    for (const each of expressions) {
      this.#visit(each.expression, new Set(scope))
      scope.add(nameOf(each))
    }
    return scope
  }

  /** What stands in FROM or JOIN: a table, a WITH query's name, a subquery, a function. */
  #visitSource(node: OperationNode, scope: Scope): Omit<Source, 'join'> & { table: TableName | undefined } {
    const inner = AliasNode.is(node) ? node.node : node
    const given = AliasNode.is(node) ? aliasNameOf(node.alias) : undefined
    // An alias that is raw SQL may give the columns other names, so nothing is known about them.
    const isRenamed = AliasNode.is(node) && given === undefined
    if (AliasNode.is(node) && isRenamed) this.#visit(node.alias, scope)
    const named = TableNode.is(inner) ? inner : rawTable(inner)
    if (named === undefined) {
      if (RawNode.is(inner)) this.#visitRawSource(inner, scope)
      else this.#visit(inner, scope)
      return { alias: given, schema: undefined, table: undefined }
    }
    const table = tableNameOf(named)
    const alias = isRenamed ? undefined : (given ?? table.name)
    const schema = AliasNode.is(node) ? undefined : table.schema
    const isWithQuery = table.schema === undefined && scope.has(table.name)
    return { alias, schema, table: isWithQuery ? undefined : table }
  }

  /** In place of a table only a raw subquery can be read; a bare name or a function in raw SQL cannot. */
  #visitRawSource(raw: RawNode, scope: Scope): void {
    const text = raw.sqlFragments.join(' ').trimStart()
    if (!text.startsWith('(')) this.#opaque ??= 'raw SQL stands in place of a table'
    this.#visitRaw(raw, scope)
  }

  #visitRaw(raw: RawNode, scope: Scope): void {
    const { functions, fields, sources, changing, opaque } = readRawSql(raw)
    for (const name of functions) this.#functions.add(name)
    this.#fields.push(...fields)
    this.#changing ??= changing
    this.#opaque ??= opaque
    for (const source of sources) {
      const { table } = this.#visitSource(source, scope)
      if (table) this.#tables.push({ table, alias: undefined, constraints: [] })
    }
    for (const node of embeddedIn(raw)) if (!sources.includes(node)) this.#visit(node, scope)
  }

  #visitFunction(name: string): void {
    if (PLAIN_FUNCTION.test(name)) this.#functions.add(name.toLowerCase())
    else this.#opaque ??= `it calls ${name}, which is more than the name of a function`
  }

  #visitModifier({ modifier }: SelectModifierNode): void {
    if (modifier === undefined || modifier === 'Distinct') return
    this.#changing ??= 'it locks rows: a cached query must not write or lock'
  }

  #visitLiteral({ value }: ValueNode): void {
    if (typeof value !== 'string' || !isCurrentTime(value)) return
    this.#changing ??= `it contains '${value.trim()}', which depends on the time`
  }

  /** `'today'::date` is another day tomorrow. */
  #visitCast(node: OperationNode): void {
    for (const child of childrenOf(node)) {
      if (!ValueNode.is(child) || typeof child.value !== 'string') continue
      if (!isCurrentTime(child.value)) continue
      this.#changing ??= `it casts '${child.value.trim()}', which depends on the time`
    }
  }
}
