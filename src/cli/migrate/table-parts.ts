import { readTable, type TableFacts } from '../../adapters/postgres/catalog.js'
import { type InstalledRelation, readInstalledTriggers } from '../../adapters/postgres/installed-parts.js'
import { readSlotDeclaration, type SlotDeclaration } from '../../adapters/postgres/slot-declaration.js'
import { STAMP_COLUMN } from '../../adapters/postgres/stamp-sql.js'
import type { Inside, RepositoryInside } from '../../inside.js'

/** What the repositories of one table need of it, and what it has. */
export interface TableParts {
  readonly facts: TableFacts
  /** Repositories order its rows by Corral's stamp. */
  readonly wantsStamp: boolean
  /** The column with the version, whoever keeps it; undefined: rows have none. */
  readonly versionColumn: string | undefined
  /** Of all repositories, real names. */
  readonly unique: readonly (readonly string[])[]
  readonly columns: readonly string[]
  readonly installed: readonly InstalledRelation[]
  /** As the relay of a slot knows its rows. */
  readonly declared: SlotDeclaration | 'none' | 'hidden'
}

/**
 * One for each table that has a repository, in the order of the first one. What keeps a table from being read as the config says, other
 * than a stamp that is not there yet, rejects.
 *
 * @throws ConfigError, SourceError
 */
export async function readTableParts({ db, repositories }: Pick<Inside, 'db' | 'repositories'>): Promise<TableParts[]> {
  const byEntity = new Map<string, { facts: TableFacts; of: RepositoryInside[]; named: TableFacts[] }>()
  for (const repository of repositories) {
    const facts = await readTable(db, { ...repository.options, version: false })
    const known = byEntity.get(facts.entity)
    if (known === undefined) byEntity.set(facts.entity, { facts, of: [repository], named: [facts] })
    else {
      known.of.push(repository)
      known.named.push(facts)
    }
  }
  return Promise.all(
    [...byEntity.values()].map(async ({ facts, of, named }) => ({
      facts,
      ...versionOf(facts, of),
      unique: distinct(named.flatMap(({ unique }) => unique.map((columns) => columns.map(({ column }) => column)))),
      columns: [...new Set(named.flatMap(({ queryBy }) => queryBy.map(({ column }) => column)))],
      installed: await readInstalledTriggers(db, facts),
      declared: await readSlotDeclaration(db, facts.entity),
    })),
  )
}

function versionOf(facts: TableFacts, repositories: readonly RepositoryInside[]) {
  const asked = repositories.map(({ options }) => options.version).find((version) => version !== false)
  const isOff = repositories.every(({ options }) => options.version === false)
  if (isOff) return { wantsStamp: false, versionColumn: undefined }
  if (asked === undefined || asked === STAMP_COLUMN) return { wantsStamp: true, versionColumn: STAMP_COLUMN }
  const column = facts.columns.find(({ property }) => property === asked)?.column ?? asked
  // A stamp may be kept in a column of another name; a table without our trigger keeps a version of its own.
  return { wantsStamp: facts.stamp !== 'missing', versionColumn: column }
}

function distinct(lists: readonly (readonly string[])[]): (readonly string[])[] {
  return [...new Map(lists.map((list) => [list.join('\0'), list])).values()]
}
