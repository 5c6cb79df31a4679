import {
  AndNode,
  BinaryOperationNode,
  ColumnNode,
  type JoinNode,
  type OperationNode,
  OperatorNode,
  OrNode,
  ParensNode,
  PrimitiveValueListNode,
  RawNode,
  ReferenceNode,
  ValueListNode,
  ValueNode,
  type WhereNode,
} from 'kysely'
import { childrenOf, embeddedIn } from './operation-tree.js'
import { mayPartConditions } from './raw-sql.js'

/**
 * A column of one table in one SELECT: rows in which it has none of these values cannot influence what the SELECT returns.
 */
export interface Constraint {
  readonly column: string
  /** As they are bound, not null. */
  readonly values: readonly unknown[]
  /** False when the value was compared with another column that equals this one: then both must be of one kind of type. */
  readonly direct: boolean
}

/** A table, or anything else, that a SELECT reads from. */
export interface Source {
  /** The name its columns are qualified with; undefined when it is not known. */
  readonly alias: string | undefined
  /** The schema its columns may be qualified with besides; undefined: none, because it has an alias or was named without one. */
  readonly schema: string | undefined
  /** The join that brings it in; undefined for what stands in FROM itself. */
  readonly join: JoinNode | undefined
}

/** Where a statement holds the rows that it reads or writes to something. What stands at its end in raw SQL may go on with WHERE. */
export interface Conditions {
  readonly where?: WhereNode | undefined
  readonly endModifiers?: readonly OperationNode[] | undefined
}

/** Lists longer than this count as no constraint: each value is one more key to compare on every hit. */
const MAX_VALUES = 20
/** Joins that only ever remove rows: their conditions hold for every row that is left. */
const INNER = new Set(['InnerJoin', 'CrossJoin', 'LateralInnerJoin', 'LateralCrossJoin'])
/** Joins whose condition holds for the joined table's rows, where there are any. */
const LEFT = new Set(['LeftJoin', 'LateralLeftJoin'])

interface Column {
  /** Undefined: unqualified. It belongs to the one source of the SELECT that has such a column, or the statement fails. */
  readonly alias: string | undefined
  /** Tables of one name in two schemas may stand side by side. */
  readonly schema: string | undefined
  readonly column: string
}

/** `reaches`: the only source the condition says something about; undefined: all of them. */
type Condition =
  | { readonly column: Column; readonly values: readonly unknown[]; readonly reaches: Source | undefined }
  | { readonly column: Column; readonly equals: Column; readonly reaches: Source | undefined }

/**
 * Reads off a SELECT which columns are held to constants, and what follows for the columns they are joined with.
 *
 * Why a row that differs cannot matter, in short (docs/design/decisions/0004-query-dependencies.md has the proof): every
 * condition used here is an equality, so it also removes rows that an outer join filled with nulls. A condition of WHERE or of an
 * inner join holds for every row that is left in the end. One in the ON of a left join is used for the joined table alone: it
 * says which of its rows may match, and nothing about the others.
 *
 * @returns the constraints of each source, in the order of `sources`; for an unqualified column they are given to every source,
 * because only the catalog knows whose it is. A caller may use those only for columns its table really has.
 */
export function constraintsOf(select: Conditions, sources: readonly Source[]): Constraint[][] {
  const found = closure(conditionsOf(select, sources))
  return sources.map((source) =>
    source.alias === undefined ? [] : found.filter((each) => each.alias === undefined || isOf(each, source)),
  )
}

/** Whether a column is qualified as one of this source. A schema that the source is not named with may be another's, out of sight. */
function isOf({ alias, schema }: Column, source: Source): boolean {
  return alias !== undefined && alias === source.alias && (schema === undefined || schema === source.schema)
}

function conditionsOf(select: Conditions, sources: readonly Source[]): Condition[] {
  const joins = sources.flatMap((source) => (source.join ? [{ source, join: source.join }] : []))
  const isParted = select.endModifiers?.some(partsConditions) ?? false
  const where = select.where && !isParted ? conditionsIn(select.where.where, undefined) : []
  // A right or full join brings back rows that the conditions of earlier joins had removed: only constants in WHERE still hold.
  if (joins.some(({ join }) => !INNER.has(join.joinType) && !LEFT.has(join.joinType))) {
    return where.filter((condition) => 'values' in condition)
  }
  const on = joins.flatMap(({ source, join }) => {
    if (join.on === undefined || (LEFT.has(join.joinType) && source.alias === undefined)) return []
    const reaches = LEFT.has(join.joinType) ? source : undefined
    return conditionsIn(join.on.on, reaches)
  })
  return [...where, ...on]
}

function conditionsIn(clause: OperationNode, reaches: Source | undefined): Condition[] {
  return partsConditions(clause) ? [] : conjunctsOf(clause).flatMap((node) => read(node, reaches))
}

/** Kinds that Kysely puts in parentheses, or between words of their own: an OR inside parts nothing outside. */
const ENCLOSED = new Set([
  ...['ParensNode', 'FunctionNode', 'AggregateFunctionNode', 'CastNode', 'CaseNode'],
  ...['SelectQueryNode', 'ValueListNode', 'TupleNode'],
])

/** Whether there is an OR among conditions that are joined by AND, without parentheses around it: then none of them has to hold. */
function partsConditions(node: OperationNode): boolean {
  if (OrNode.is(node)) return true
  if (RawNode.is(node)) return mayPartConditions(node) || embeddedIn(node).some(partsConditions)
  return !ENCLOSED.has(node.kind) && childrenOf(node).some(partsConditions)
}

/** The parts of a condition that must all be true. */
function conjunctsOf(node: OperationNode): OperationNode[] {
  if (AndNode.is(node)) return [...conjunctsOf(node.left), ...conjunctsOf(node.right)]
  if (!ParensNode.is(node)) return [node]
  return partsConditions(node.node) ? [] : conjunctsOf(node.node)
}

function read(node: OperationNode, reaches: Source | undefined): Condition[] {
  if (!BinaryOperationNode.is(node) || !OperatorNode.is(node.operator)) return []
  const { operator } = node.operator
  const [left, right] = [columnOf(node.leftOperand), columnOf(node.rightOperand)]
  if (operator === 'in' && left) return readValues(left, node.rightOperand, reaches)
  if (operator !== '=') return []
  if (left && right) return [{ column: left, equals: right, reaches }]
  if (left) return readValues(left, node.rightOperand, reaches)
  return right ? readValues(right, node.leftOperand, reaches) : []
}

function readValues(column: Column, node: OperationNode, reaches: Source | undefined): Condition[] {
  const values = valuesOf(node)
  const isUsable = values !== undefined && values.length <= MAX_VALUES && !values.includes(null)
  // In the ON of a left join an unqualified column could be one of the tables whose rows all stay.
  return isUsable && (reaches === undefined || isOf(column, reaches)) ? [{ column, values, reaches }] : []
}

function valuesOf(node: OperationNode): readonly unknown[] | undefined {
  if (ParensNode.is(node)) return valuesOf(node.node)
  if (ValueNode.is(node)) return [node.value]
  if (PrimitiveValueListNode.is(node)) return node.values
  if (!ValueListNode.is(node)) return undefined
  return node.values.every(ValueNode.is) ? node.values.map((value) => (value as ValueNode).value) : undefined
}

function columnOf(node: OperationNode): Column | undefined {
  if (ParensNode.is(node)) return columnOf(node.node)
  if (!ReferenceNode.is(node) || !ColumnNode.is(node.column)) return undefined
  const { schema, identifier } = node.table?.table ?? {}
  return { alias: identifier?.name, schema: schema?.name, column: node.column.column.name }
}

function nameOf({ alias, schema, column }: Column): string {
  return JSON.stringify([schema ?? null, alias ?? null, column])
}

type Found = Column & Constraint

/** Carries constants along equalities until nothing new follows. */
function closure(conditions: readonly Condition[]): Found[] {
  const found = new Map<string, Found>()
  const learn = (column: Column, values: readonly unknown[], direct: boolean): boolean => {
    const key = nameOf(column)
    const known = found.get(key)
    if (known?.direct && !direct) return false
    if (known?.direct === direct && known.values.length <= values.length) return false
    found.set(key, { ...column, values, direct })
    return true
  }
  for (const condition of conditions) if ('values' in condition) learn(condition.column, condition.values, true)

  const equalities = conditions.filter((condition) => 'equals' in condition)
  const follow = (from: Column, to: Column, reaches: Source | undefined): boolean => {
    if (reaches !== undefined && (!isOf(to, reaches) || isOf(from, reaches))) return false
    const known = found.get(nameOf(from))
    return known !== undefined && learn(to, known.values, false)
  }
  // Each round but the last finds something; nothing is found twice, so there are no more rounds than equalities.
  for (let changed = true, round = 0; changed && round <= equalities.length; round++) {
    changed = false
    for (const { column, equals, reaches } of equalities) {
      if (follow(column, equals, reaches)) changed = true
      if (follow(equals, column, reaches)) changed = true
    }
  }
  return [...found.values()]
}
