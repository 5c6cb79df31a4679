import type { OperationNode } from 'kysely'
import type { Constraint } from '../adapters/postgres/constrained-columns.js'
import { IMPOSSIBLE, type KeyColumn } from '../adapters/postgres/key-column.js'
import type { Field, TableName } from '../adapters/postgres/operation-tree.js'
import { readDependencies, type TableUse } from '../adapters/postgres/query-dependencies.js'
import type { RelationDirectory } from '../adapters/postgres/relation-directory.js'
import type { Relation } from '../adapters/postgres/relation-graph.js'
import { QueryUncacheableError } from '../core/errors.js'
import type { CacheKey } from '../core/key.js'
import type { TableDependency } from '../engine/marked-entries.js'
import { TableMarks } from '../engine/table-marks.js'
import type { CachedTables } from './open-table.js'

export interface QueryPlanParts {
  readonly namespace: string
  readonly relations: RelationDirectory
  readonly tables: CachedTables
}

/** What one call's result depends on. */
export interface QueryPlan {
  readonly dependencies: readonly TableDependency[]
  /** Every mark they name, once. */
  readonly marks: readonly CacheKey[]
  /** Fingerprints of the columns of everything the query reads: a table that was altered gives other rows. */
  readonly columns: readonly string[]
  /** The tables it reads: `schema.name`. */
  readonly entities: readonly string[]
}

const DEPENDS_ON = 'name the tables it reads in the option `dependsOn`'
const ROWS_FOR_ALL =
  'read it by a role that sees all of them (its owner, or one with BYPASSRLS), or give option `rowSecurity` as `alike` if the policies show the same rows to all connections'
/** `pg_class.relkind`. */
const SEQUENCE = 'S'
const REASONS_TO_NAME: Record<string, string> = {
  v: 'is a view, and what that reads is not looked into',
  m: 'is a materialized view, which changes when it is refreshed and not when tables are written',
  f: 'is a foreign table, and writes to it are not seen',
}
/** Types whose values are equal across columns only if they are the same: a text may be padded, folded or collated on its way. */
const TYPES_THAT_CARRY = new Set(['smallint', 'integer', 'bigint', 'uuid'])

/**
 * Finds out what a query depends on: the operation tree says which tables and which of their rows, the catalog what they and the
 * functions are.
 *
 * @param dependsOn what the application says it reads besides; undefined: nothing was said.
 * @throws QueryUncacheableError with the reason and the way out.
 */
export async function planQuery(
  parts: QueryPlanParts,
  query: {
    readonly name: string
    readonly tree: OperationNode
    readonly dependsOn: readonly TableName[] | undefined
    readonly rowSecurity: 'alike' | undefined
  },
): Promise<QueryPlan> {
  const { name, tree, dependsOn, rowSecurity } = query
  const refuse = (reason: string, fix: string): never => {
    throw new QueryUncacheableError(name, reason, fix)
  }
  const { tables, functions, fields, changing, opaque } = readDependencies(tree)
  if (changing !== undefined) refuse(changing, 'pass what it needs as a parameter, or run it on Kysely')
  if (opaque !== undefined && dependsOn === undefined) refuse(opaque, DEPENDS_ON)
  const verdicts = await parts.relations.judge(functions)
  verdicts.forEach((verdict, at) => {
    const call = `it calls ${functions[at]}()`
    if (verdict === 'changing') refuse(`${call}, whose result changes by itself`, 'pass the value as a parameter')
    if (verdict === 'unknown' && dependsOn === undefined) refuse(`${call}, which may read tables`, DEPENDS_ON)
  })

  const uses: TableUse[] = [
    ...tables,
    ...(dependsOn ?? []).map((table) => ({ table, alias: undefined, constraints: [] })),
  ]
  const relations = await parts.relations.find(uses.map(({ table }) => table))
  const found = uses.map(({ table, alias, constraints }, at) => {
    const relation = relations[at]
    const path = [table.schema, table.name].filter((part) => part !== undefined).join('.')
    if (relation === undefined) return refuse(`the database has no table ${path}`, 'check the name and the search path')
    if (relation.special) return refuse(`${path} is a temporary or system table`, 'run it on Kysely')
    if (relation.kind === SEQUENCE) return refuse(`${path} is a sequence, which changes by itself`, 'run it on Kysely')
    const reason = REASONS_TO_NAME[relation.kind]
    if (reason !== undefined && dependsOn === undefined) return refuse(`${path} ${reason}`, DEPENDS_ON)
    if (relation.shownInPart && rowSecurity === undefined) {
      return refuse(`${path} has row-level security, which shows this role only some of its rows`, ROWS_FOR_ALL)
    }
    const mayBeOf = ({ of }: Field) => of === undefined || alias === undefined || of === alias
    const method = fields.find((field) => mayBeOf(field) && relation.methods.includes(field.name))
    if (method !== undefined && dependsOn === undefined) {
      return refuse(`${path}.${method.name} calls ${method.name}(), which may read tables`, DEPENDS_ON)
    }
    return { relation, constraints }
  })
  await parts.tables.openAll()
  // Their marks are made of what they recall by their full names.
  const cached = found.flatMap(({ relation }) => parts.tables.of(relation.entity))
  await parts.relations.find(cached.map(({ facts }) => facts))
  return planOf(
    found.map(({ relation, constraints }) => dependencyOf(parts, relation, constraints)),
    relations,
  )
}

function planOf(each: readonly TableDependency[], relations: readonly (Relation | undefined)[]): QueryPlan {
  // A table that is read once without bounds is read without bounds.
  const unbounded = new Set(each.filter(({ bounded }) => !bounded).flatMap(({ table }) => table))
  const dependencies = each.filter(({ bounded, table }) => !bounded || !table.every((mark) => unbounded.has(mark)))
  const marks = dependencies.flatMap(({ table, bounded }) => [
    ...table,
    ...(bounded ? [...bounded.values, ...bounded.all] : []),
  ])
  const columns = relations.map((relation) => relation?.columns ?? '')
  const entities = relations.flatMap((relation) => relation?.entity ?? [])
  return { dependencies, marks: [...new Set(marks)], columns: [...new Set(columns)], entities: [...new Set(entities)] }
}

function dependencyOf(parts: QueryPlanParts, relation: Relation, constraints: readonly Constraint[]): TableDependency {
  const { namespace, tables } = parts
  for (const { facts, marks } of tables.of(relation.entity)) {
    const bounds = constraints.flatMap((constraint) => {
      const column = facts.queryBy.find((declared) => declared.column === constraint.column)
      const values = column && canonicalValues(column, constraint)
      return column && values ? [{ column: column.column, values }] : []
    })
    const [fewest] = bounds.sort((a, b) => a.values.length - b.values.length)
    if (fewest === undefined) continue
    const values = fewest.values.flatMap((value) => marks.valueKeys(fewest.column, value))
    return { table: marks.table, bounded: { values, all: marks.values, declared: marks.declared } }
  }
  return { table: new TableMarks({ namespace, marked: relation, columns: [] }).table, bounded: undefined }
}

/** The values as they are spelled in marks; undefined when one of them cannot be, and so bounds nothing. */
function canonicalValues(column: KeyColumn, { values, direct }: Constraint): string[] | undefined {
  if (!direct && !TYPES_THAT_CARRY.has(column.type.name)) return undefined
  try {
    const spelled = values.map((value) => column.canonical(value))
    return spelled.includes(IMPOSSIBLE) ? undefined : (spelled as string[])
  } catch {
    return undefined
  }
}
