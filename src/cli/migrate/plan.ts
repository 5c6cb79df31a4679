import type { TableFacts } from '../../adapters/postgres/catalog.js'
import {
  functionBody,
  type InstalledRelation,
  type InstalledShared,
  type InstalledTrigger,
  OUTBOX_TRIGGERS,
  STAMP_TRIGGERS,
} from '../../adapters/postgres/installed-parts.js'
import { tellsAs } from '../../adapters/postgres/slot-declaration.js'
import {
  fencedLocksSql,
  outboxTableSql,
  outboxTablesSql,
  slotTableSql,
  slotTablesSql,
  stampTableSql,
} from '../../migrations.js'
import type { TableParts } from './table-parts.js'

/** One migration that the config's repositories need. */
export interface MigrationStep {
  readonly kind: 'stamp' | 'outbox' | 'outbox-table' | 'slot' | 'slot-table' | 'locks'
  /** The table, where it is about one. */
  readonly entity: string | undefined
  /**
   * `disabled`: a trigger does not always fire. `outdated`: made by another release, or for other columns. `broken`: a column that the triggers use is
   * not there, or not as they need it, and writes fail.
   */
  readonly state: 'installed' | 'missing' | 'disabled' | 'outdated' | 'broken'
  /** Of what is broken: which column. */
  readonly fault?: string
  /** What makes it as it should be; safe to run whatever the state. */
  readonly statements: readonly string[]
}

export interface PlanChoices {
  /** By what way every change of every table is to reach the cache. */
  readonly source: 'outbox' | 'slot' | 'none'
  readonly locks: boolean
}

/** What is needed, in the order in which it has to be made, and how much of it is there. */
export function migrationPlan(
  tables: readonly TableParts[],
  shared: InstalledShared,
  choices: PlanChoices,
): readonly MigrationStep[] {
  return [
    ...tables.filter(({ wantsStamp }) => wantsStamp).map(stampStep),
    ...(tables.length > 0 ? sourceSteps(tables, shared, choices.source) : []),
    ...(choices.locks ? [locksStep(shared)] : []),
  ]
}

function sourceSteps(
  tables: readonly TableParts[],
  shared: InstalledShared,
  source: PlanChoices['source'],
): readonly MigrationStep[] {
  if (source === 'none') return []
  if (source === 'outbox') return [sharedOutboxStep(shared), ...tables.map(outboxStep)]
  const state = shared.publication ? 'installed' : 'missing'
  const slot: MigrationStep = { kind: 'slot', entity: undefined, state, statements: slotTablesSql().up }
  return [slot, ...tables.map((table) => slotStep(table, shared))]
}

/** What is published and written down is all there is to see: a replica identity that tells too little, the relay refuses and says so. */
function slotStep(parts: TableParts, { published }: InstalledShared): MigrationStep {
  const { facts, versionColumn, unique, columns } = parts
  const key = facts.key.map(({ column }) => column)
  const { up } = slotTableSql({ ...named(facts), key, version: versionColumn ?? false, unique, columns })
  const isPublished = published.includes(facts.entity)
  const state = !isPublished ? 'missing' : isDeclared(parts, key) ? 'installed' : 'outdated'
  return { kind: 'slot-table', entity: facts.entity, state, statements: up }
}

/** Another config may need more of the table than this one. A role that may not look knows of nothing that is wrong. */
function isDeclared({ declared, versionColumn, unique, columns }: TableParts, key: readonly string[]): boolean {
  if (declared === 'hidden' || declared === 'none') return declared === 'hidden'
  return (
    tellsAs(declared, { key, version: versionColumn, unique }) &&
    (versionColumn === undefined || declared.version === versionColumn) &&
    columns.every((column) => declared.columns.includes(column))
  )
}

export function stampStep({ facts, versionColumn, installed }: TableParts): MigrationStep {
  const found = (name: string) => triggersNamed(installed, name)[0]
  const stamp = found(STAMP_TRIGGERS.stamp)
  // A table that was stamped without tombstones was so by choice.
  const tombstones = stamp === undefined || found(STAMP_TRIGGERS.tombstone) !== undefined
  const { up } = stampTableSql({
    ...named(facts),
    key: facts.key.map(({ column }) => column),
    ...(versionColumn === undefined ? {} : { column: versionColumn }),
    ...(tombstones ? {} : { tombstones }),
    ...(stamp === undefined || stamp.schema === 'corral' ? {} : { corralSchema: stamp.schema }),
  })
  const wanted = tombstones ? Object.values(STAMP_TRIGGERS) : [STAMP_TRIGGERS.stamp]
  const bodies = up.map(functionBody)
  const isSame = (trigger: InstalledTrigger | undefined) => trigger !== undefined && bodies.includes(trigger.source)
  const isCurrent = isSame(stamp) && (!tombstones || isSame(found(STAMP_TRIGGERS.tombstone)))
  const state = stateOf(installed, wanted, wanted, isCurrent)
  return { kind: 'stamp', entity: facts.entity, statements: up, ...unlessBroken(state, stampFault(facts, stamp)) }
}

export function outboxStep({ facts, versionColumn, unique, columns, installed }: TableParts): MigrationStep {
  const row = triggersNamed(installed, OUTBOX_TRIGGERS.row)[0]
  const maxRows = Number(/rows operator\(pg_catalog\.>\) (\d+)/.exec(row?.source ?? '')?.[1] ?? 0)
  const { up } = outboxTableSql({
    ...named(facts),
    key: facts.key.map(({ column }) => column),
    version: versionColumn ?? false,
    unique,
    columns,
    ...(maxRows > 0 ? { maxRows } : {}),
  })
  const isCurrent = row !== undefined && up.map(functionBody).includes(row.source)
  // A partitioned table has the triggers of its rows itself; TRUNCATE of a partition is noticed by a trigger of the partition alone.
  const wanted = Object.values(OUTBOX_TRIGGERS)
  const state = stateOf(installed, wanted, wanted, isCurrent)
  return {
    kind: 'outbox-table',
    entity: facts.entity,
    statements: up,
    ...unlessBroken(state, missingColumn(facts, row)),
  }
}

function unlessBroken(
  state: MigrationStep['state'],
  fault: string | undefined,
): Pick<MigrationStep, 'state' | 'fault'> {
  return fault === undefined ? { state } : { state: 'broken', fault }
}

/** Of the column that the installed trigger sets, whichever the config names. */
function stampFault(facts: TableFacts, stamp: InstalledTrigger | undefined): string | undefined {
  const missing = missingColumn(facts, stamp)
  const [stamped] = columnsUsedBy(stamp)
  const found = facts.columns.find(({ column }) => column === stamped)
  if (missing !== undefined || found === undefined || (found.type === 'bigint' && found.notNull)) return missing
  return `column ${found.column} is ${found.type}${found.notNull ? '' : ', nullable'}`
}

function missingColumn({ columns }: TableFacts, trigger: InstalledTrigger | undefined): string | undefined {
  const missing = columnsUsedBy(trigger).find((used) => columns.every(({ column }) => column !== used))
  return missing === undefined ? undefined : `column ${missing} is not there`
}

/** Functions of triggers are bound to no column: what they use is in their text alone. */
function columnsUsedBy(trigger: InstalledTrigger | undefined): string[] {
  const uses = trigger?.source.matchAll(/\b(?:NEW|OLD)\."((?:[^"]|"")+)"/g) ?? []
  return [...uses].map(([, column = '']) => column.replaceAll('""', '"'))
}

function sharedOutboxStep({ outbox, pruneSource }: InstalledShared): MigrationStep {
  const { up } = outboxTablesSql()
  const isCurrent = up.map(functionBody).includes(pruneSource)
  return {
    kind: 'outbox',
    entity: undefined,
    state: outbox ? (isCurrent ? 'installed' : 'outdated') : 'missing',
    statements: up,
  }
}

function locksStep({ locks }: InstalledShared): MigrationStep {
  return { kind: 'locks', entity: undefined, state: locks ? 'installed' : 'missing', statements: fencedLocksSql().up }
}

/** @param onTable what the table needs, @param onPartition what each partition does. */
function stateOf(
  installed: readonly InstalledRelation[],
  onTable: readonly string[],
  onPartition: readonly string[],
  isCurrent: boolean,
): MigrationStep['state'] {
  const [table] = installed
  const has = (relation: InstalledRelation, names: readonly string[]) =>
    names.every((name) => relation.triggers.some((trigger) => trigger.name === name))
  if (table === undefined || !has(table, onTable.slice(0, 1))) return 'missing'
  if (!isCurrent || installed.some((relation) => !has(relation, relation.isRoot ? onTable : onPartition)))
    return 'outdated'
  const all = installed.flatMap(({ triggers }) => triggers).filter(({ name }) => onTable.includes(name))
  return all.every(({ enabled }) => enabled === 'A') ? 'installed' : 'disabled'
}

function triggersNamed(installed: readonly InstalledRelation[], name: string): InstalledTrigger[] {
  return installed.flatMap(({ triggers }) => triggers).filter((trigger) => trigger.name === name)
}

function named({ schema, name }: { readonly schema: string; readonly name: string }) {
  return { table: name, ...(schema === 'public' ? {} : { schema }) }
}
