import { ColumnNode, type OperationNode, ReferenceNode, SelectionNode, sql, TableNode } from 'kysely'
import { ConfigError, SourceError } from '../../core/errors.js'
import type { AnyDatabase } from './catalog-query.js'

/**
 * From the names a user's Kysely knows to the database's own and back. Plugins may map names, and `withSchema` adds to
 * them, so the answer is read off what the user's own Kysely makes of a query.
 */

/** The name the user's plugins send to the database. */
export function realTable(db: AnyDatabase, table: string): { schema: string | undefined; name: string } {
  const node = db.selectFrom(table).selectAll().toOperationNode().from?.froms[0]
  if (node === undefined || !TableNode.is(node))
    throw new ConfigError(`${table}.table`, 'the plain name of a table', table)
  return { schema: node.table.schema?.name, name: node.table.identifier.name }
}

/** The column a name of the user's stands for; undefined when it is more than a plain column's name. */
export function realColumn(db: AnyDatabase, table: string, name: string): string | undefined {
  const selection: OperationNode | undefined = db.selectFrom(table).select(name).toOperationNode().selections?.[0]
  if (selection === undefined || !SelectionNode.is(selection)) return undefined
  const reference = selection.selection
  if (!ReferenceNode.is(reference) || reference.table !== undefined) return undefined
  return ColumnNode.is(reference.column) ? reference.column.column.name : undefined
}

/**
 * What each column is called in row objects, in table order: asked of the driver and the plugins themselves, by loading
 * a row of nulls through them.
 */
export async function readProperties(db: AnyDatabase, table: string, columns: number): Promise<string[]> {
  const one = sql<{ corralone: number }>`(select 1 as corralone)`.as('corralone')
  let row: object
  try {
    const query = db.selectFrom(one).leftJoin(`${table} as corralrow`, (join) => join.on(sql<boolean>`false`))
    row = await query.selectAll('corralrow').executeTakeFirstOrThrow()
  } catch (error) {
    throw new SourceError(`reading the columns of ${table}`, error)
  }
  const properties = Object.keys(row)
  const reserved = properties.find((name) => RESERVED.test(name))
  if (reserved !== undefined) {
    throw new ConfigError(
      `${table}.table`,
      'no column named like something that statements of Corral return beside the row',
      reserved,
    )
  }
  // Objects list whole-number names first, whatever the columns' order.
  if (properties.length === columns && !properties.some((name) => /^\d+$/.test(name))) return properties
  throw new ConfigError(
    `${table}.table`,
    `rows with one property for each of the ${columns} columns, none of them a whole number`,
    properties.join(', '),
  )
}

/** What `row-source` and `row-writer` call what they return beside a row. */
const RESERVED = /^corral(?:snapshot|source|shownto|version|keyx*|toldx*|waited|xid)$/
