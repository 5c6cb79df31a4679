import {
  AliasNode,
  CastNode,
  ColumnNode,
  DataTypeNode,
  DeleteQueryNode,
  IdentifierNode,
  InsertQueryNode,
  MergeQueryNode,
  type OperationNode,
  RawNode,
  ReferenceNode,
  RefreshMaterializedViewNode,
  ReturningNode,
  type RootOperationNode,
  SchemableIdentifierNode,
  SelectionNode,
  TableNode,
  UpdateQueryNode,
  type WithNode,
} from 'kysely'
import { type Constraint, constraintsOf } from './constrained-columns.js'
import { aliasNameOf, childrenOf, rawTable, type TableName, tableNameOf } from './operation-tree.js'
import { isComment, mayMoveNames, writingWordOf } from './raw-sql.js'
import { without } from './without.js'

/** One table that a statement writes. Real names. */
export interface Write {
  readonly table: TableName
  /** `replace`: an insert that changes the row it runs into. `unknown`: any of them, by MERGE or a refreshed view. */
  readonly kind: 'insert' | 'update' | 'replace' | 'delete' | 'unknown'
  /** The columns an update sets; undefined: not known, or no update. */
  readonly touched: readonly string[] | undefined
  /** What its rows are held to by an UPDATE's or a DELETE's own conditions. */
  readonly bounds: readonly Constraint[]
  /** The statement itself writes it, and not a WITH query inside: only then can RETURNING tell the rows. */
  readonly isOuter: boolean
}

export interface Writes {
  readonly tables: readonly Write[]
  /** The word that makes raw SQL in it look like a write, or of a statement whose table raw SQL names; undefined: there is neither. */
  readonly raw: string | undefined
}

/** Alias of the transaction's id. A statement that asks for it is the SDK's own, which does its own accounting. */
const XID = 'corralxid'
const COLUMN = 'corralcolumn'

/** What a statement writes, as far as its tree tells; functions it calls are not looked into. */
export function writesOf(root: OperationNode): Writes {
  const { with: withNode } = root as { with?: WithNode }
  const inside = (withNode?.expressions ?? []).map(({ expression }) => expression)
  const places = RawNode.is(root) ? [root] : inside
  const inner = places.flatMap(writingNodes)
  const words = [
    ...places.map((node) => (RawNode.is(node) ? writingWordOf(node) : undefined)),
    ...[root, ...inner].map(wordOfUnnamed),
  ]
  return {
    tables: [...writeOf(root, true), ...inner.flatMap((node) => writeOf(node, false))],
    raw: words.find((word) => word !== undefined),
  }
}

/** Whether the SDK made the statement to write rows whose keys it takes care of itself. */
export function isOwnStatement(root: OperationNode): boolean {
  const { returning } = root as { returning?: ReturningNode }
  return returning?.selections.some(({ selection }) => aliasOf(selection) === XID) ?? false
}

/** Whether a name may mean another table behind this statement. */
export function movesNames(root: OperationNode): boolean {
  return RawNode.is(root) ? mayMoveNames(root) : /^(?:Create|Alter|Drop)/.test(root.kind)
}

/** The node, or in raw SQL those that stand in it, if they write. */
function writingNodes(node: OperationNode): OperationNode[] {
  if (RawNode.is(node)) return childrenOf(node).flatMap(writingNodes)
  return targetOf(node) === undefined ? [] : [node]
}

function wordOfUnnamed(node: OperationNode): string | undefined {
  const written = targetOf(node)
  return written !== undefined && tableIn(written) === undefined ? actionOf(node).kind : undefined
}

function writeOf(node: OperationNode, isOuter: boolean): Write[] {
  const written = targetOf(node)
  const table = written && tableIn(written)
  if (written === undefined || table === undefined) return []
  return [{ table, isOuter, bounds: boundsOf(node, written), ...actionOf(node) }]
}

function actionOf(node: OperationNode): Pick<Write, 'kind' | 'touched'> {
  if (InsertQueryNode.is(node)) {
    return { kind: node.onConflict?.updates || hasRawEnd(node) ? 'replace' : 'insert', touched: undefined }
  }
  if (DeleteQueryNode.is(node)) return { kind: 'delete', touched: undefined }
  if (!UpdateQueryNode.is(node)) return { kind: 'unknown', touched: undefined }
  // Right behind SET it may go on with that.
  if (hasRawEnd(node) && !node.from && !node.where) return { kind: 'update', touched: undefined }
  const names = (node.updates ?? []).map(({ column }) => columnNameOf(column))
  return { kind: 'update', touched: names.includes(undefined) ? undefined : (names as string[]) }
}

function boundsOf(node: OperationNode, target: OperationNode): readonly Constraint[] {
  if (!UpdateQueryNode.is(node) && !DeleteQueryNode.is(node)) return []
  const table = tableIn(target)
  const named = AliasNode.is(target)
    ? { alias: aliasNameOf(target.alias), schema: undefined }
    : { alias: table?.name, schema: table?.schema }
  return constraintsOf(node, [{ ...named, join: undefined }])[0] ?? []
}

/** Whether raw SQL at its end, but for comments, goes on with it: an ON CONFLICT, a WHERE, a RETURNING. */
function hasRawEnd({ endModifiers }: { readonly endModifiers?: readonly OperationNode[] | undefined }): boolean {
  return endModifiers?.some((node) => !isComment(node)) ?? false
}

function targetOf(node: OperationNode): OperationNode | undefined {
  if (InsertQueryNode.is(node) || MergeQueryNode.is(node)) return node.into
  if (UpdateQueryNode.is(node)) return node.table
  if (DeleteQueryNode.is(node)) return node.from.froms[0]
  return RefreshMaterializedViewNode.is(node) ? node.name : undefined
}

function tableIn(node: OperationNode): TableName | undefined {
  if (AliasNode.is(node)) return tableIn(node.node)
  if (SchemableIdentifierNode.is(node)) return { schema: node.schema?.name, name: node.identifier.name }
  const table = TableNode.is(node) ? node : rawTable(node)
  return table && tableNameOf(table)
}

function columnNameOf(node: OperationNode): string | undefined {
  if (ReferenceNode.is(node)) return columnNameOf(node.column)
  return ColumnNode.is(node) ? node.column.name : undefined
}

function aliasOf(node: OperationNode): string | undefined {
  return AliasNode.is(node) && IdentifierNode.is(node.alias) ? node.alias.name : undefined
}

/** A row as RETURNING told it: the text of each column asked for. */
export type ReturnedRow = ReadonlyMap<string, string | null>

export interface Told {
  readonly rows: readonly ReturnedRow[]
  readonly xid: string | undefined
}

/** A statement made to return columns of the rows it writes, besides what it returns anyway. */
export interface Returning {
  readonly node: RootOperationNode
  /** What was added, and the rows as the statement itself would have given them. */
  read(rows: readonly Record<string, unknown>[]): Told & { readonly ownRows: readonly Record<string, unknown>[] }
}

/** Undefined where RETURNING cannot be had: MERGE knows it only from Postgres 17 on, and raw SQL at the end may have one, or belong in front of it. */
export function withReturning(root: RootOperationNode, columns: readonly string[]): Returning | undefined {
  if (!InsertQueryNode.is(root) && !UpdateQueryNode.is(root) && !DeleteQueryNode.is(root)) return undefined
  if (hasRawEnd(root)) return undefined
  const target = targetOf(root)
  if (target === undefined) return undefined
  // INSERT has one table in sight; the others may have more, and then a bare name is ambiguous.
  const source = InsertQueryNode.is(root) ? undefined : sourceOf(target)
  const added = columns.map((column, at) => selection(textOf(column, source), `${COLUMN}${at}`))
  const selections = [
    ...(root.returning?.selections ?? []),
    ...added,
    selection(RawNode.createWithSql('pg_current_xact_id()::text'), XID),
  ]
  const names = new Set([...columns.map((_, at) => `${COLUMN}${at}`), XID])
  return {
    node: { ...root, returning: ReturningNode.create(selections) },
    read: (rows) => {
      const read = rows.map(
        (row) => new Map(columns.map((column, at) => [column, row[`${COLUMN}${at}`] as string | null])),
      )
      const xid = rows[0]?.[XID] as string | undefined
      return { rows: read, xid, ownRows: rows.map((row) => without(row, names)) }
    },
  }
}

function sourceOf(target: OperationNode): TableNode | undefined {
  if (!AliasNode.is(target)) return TableNode.is(target) ? target : undefined
  return IdentifierNode.is(target.alias) ? TableNode.create(target.alias.name) : undefined
}

function textOf(column: string, source: TableNode | undefined): OperationNode {
  return CastNode.create(ReferenceNode.create(ColumnNode.create(column), source), DataTypeNode.create('text'))
}

function selection(node: OperationNode, alias: string): SelectionNode {
  return SelectionNode.create(AliasNode.create(node, IdentifierNode.create(alias)))
}
