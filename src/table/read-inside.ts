import { freezeRow } from '../adapters/codec/read-only.js'
import type { TableFacts } from '../adapters/postgres/catalog.js'
import type { KeyColumn } from '../adapters/postgres/key-column.js'
import { PostgresRowSource } from '../adapters/postgres/row-source.js'
import type { AnyDatabase } from '../adapters/postgres/row-writer.js'
import type { CanonicalId } from '../core/ports.js'

/** Rows as a transaction sees them. Nothing of it may reach the cache, because it may see what nobody else may. */
export async function readInside(
  tx: AnyDatabase,
  facts: TableFacts,
  ids: readonly CanonicalId[],
  by: readonly KeyColumn[] = facts.key,
): Promise<(object | undefined)[]> {
  const { rows } = await new PostgresRowSource({ db: tx, facts, by, isInside: true }).load(ids)
  return rows.map(({ row }) => row && freezeRow(row))
}
