import { IdentifierNode, type OperationNode, ParensNode, RawNode, SelectQueryNode, TableNode } from 'kysely'

/** A table as a statement names it: real names, the schema only where the statement gives one. */
export interface TableName {
  readonly schema: string | undefined
  readonly name: string
}

/** A name as a column of something: of what has this name or alias, or of anything (undefined). Real names. */
export interface Field {
  readonly of: string | undefined
  readonly name: string
}

/** The nodes directly below a node, whatever its kind. What a `ValueNode` carries is the user's data and not looked at. */
export function childrenOf(node: OperationNode): OperationNode[] {
  if (node.kind === 'ValueNode' || node.kind === 'PrimitiveValueListNode') return []
  const children: OperationNode[] = []
  for (const value of Object.values(node)) {
    for (const item of Array.isArray(value) ? value : [value]) if (isNode(item)) children.push(item)
  }
  return children
}

export function isNode(value: unknown): value is OperationNode {
  return typeof value === 'object' && value !== null && typeof (value as { kind?: unknown }).kind === 'string'
}

export function tableNameOf({ table }: TableNode): TableName {
  return { schema: table.schema?.name, name: table.identifier.name }
}

/** The name an alias gives; undefined when it is raw SQL, which may rename columns too. */
export function aliasNameOf(alias: OperationNode): string | undefined {
  return IdentifierNode.is(alias) ? alias.name : undefined
}

/** Whether a node is a subquery, in parentheses or not. */
export function isSubquery(node: OperationNode): boolean {
  return SelectQueryNode.is(node) || (ParensNode.is(node) && isSubquery(node.node))
}

/** The nodes in raw SQL that are no raw SQL themselves; nested raw SQL is read together with it. */
export function embeddedIn(raw: RawNode): OperationNode[] {
  return raw.parameters.flatMap((node) => (RawNode.is(node) ? embeddedIn(node) : [node]))
}

/** The table that `sql.table('name')` stands for; undefined for any other raw SQL. */
export function rawTable(node: OperationNode): TableNode | undefined {
  if (!RawNode.is(node) || node.sqlFragments.some((text) => text.trim() !== '')) return undefined
  const [only, ...more] = node.parameters
  if (only === undefined || more.length > 0) return undefined
  return TableNode.is(only) ? only : rawTable(only)
}
