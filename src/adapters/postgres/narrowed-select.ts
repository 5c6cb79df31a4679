import { AliasNode, type OperationNode, RawNode, SelectModifierNode, SelectQueryNode, TableNode } from 'kysely'
import type { TableName } from './operation-tree.js'
import { isComment } from './raw-sql.js'

/**
 * Why a SELECT, as it leaves Kysely's plugins, may show other rows to one who asks than to another; undefined: it shows what it was made for. That is
 * one table, by itself or joined on raw SQL, and nothing else: whatever there is besides but for comments, a plugin has put there.
 */
export function narrowingOf(select: OperationNode, { schema, name }: TableName): string | undefined {
  if (!SelectQueryNode.is(select)) return 'a plugin that makes another statement of it'
  const { kind: _, from, selections: __, joins = [], ...rest } = select
  const added = Object.entries(rest).find(([, part]) => says(part))
  if (added !== undefined) return `a plugin that adds to it (${added[0]})`
  const [join, ...others] = joins
  if (from?.froms.length !== 1 || others.length > 0) return 'a plugin that adds tables to it'
  if (join !== undefined && !(join.on !== undefined && RawNode.is(join.on.on))) return 'a plugin that adds to it (on)'
  const source = join?.table ?? (from.froms[0] as OperationNode)
  const read = AliasNode.is(source) ? source.node : source
  if (!TableNode.is(read)) return 'a plugin that puts something in the place of the table'
  const { schema: inSchema, identifier } = read.table
  const isAnother = identifier.name !== name || (inSchema !== undefined && inSchema.name !== schema)
  return isAnother ? 'a plugin that names another table at times' : undefined
}

function says(part: unknown): boolean {
  if (!Array.isArray(part)) return part !== undefined
  return part.some((node) => !(SelectModifierNode.is(node) && node.rawModifier && isComment(node.rawModifier)))
}
