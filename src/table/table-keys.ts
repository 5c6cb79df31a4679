import type { TableFacts } from '../adapters/postgres/catalog.js'
import type { KeyColumn } from '../adapters/postgres/key-column.js'
import { ConfigError } from '../core/errors.js'

/** As what the rows of a table are known. */
interface Identity {
  /** The key's columns, in their order. */
  readonly key: string
  /** Undefined: no repository has said one. */
  version: string | undefined
  /** See `TableKeys.claim`. */
  declared: readonly KeyColumn[]
}

/**
 * By which columns the rows of each table are known in this instance, and by which they are ordered.
 *
 * Rows lie in the cache under the values of their key, and a write ends what lies under the key that it knows: two keys of one table would share their
 * places without a word about whose row it is, and neither would be fenced by the other's writes. Two columns of versions have no order among each other:
 * a fence by the one would leave in place what the other calls newer.
 */
export class TableKeys {
  readonly #known = new Map<string, Identity>()

  /**
   * All columns that repositories of the table have declared, in `unique` or `queryBy`. As long as they are no more it is the same
   * list, and a longer one begins with it.
   *
   * @throws ConfigError when another repository of the table has another key, or another version.
   */
  claim({ entity, table, key, version, unique, queryBy }: TableFacts): () => readonly KeyColumn[] {
    const columns = key.map(({ column }) => column).join(', ')
    const known = this.#known.get(entity) ?? { key: columns, version: undefined, declared: [] }
    const other = `as in the other repository of ${entity}`
    if (known.key !== columns) {
      const expected = `${known.key}, ${other}: rows of one table have one key; declare other unique columns with \`unique\``
      throw new ConfigError(`${table}.key`, expected, columns)
    }
    if (known.version !== undefined && version !== undefined && known.version !== version.column) {
      const expected = `${known.version}, ${other}: versions of two columns have no order among each other`
      throw new ConfigError(`${table}.version`, expected, version.column)
    }
    known.version ??= version?.column
    for (const each of [...unique.flat(), ...queryBy]) {
      if (!known.declared.some(({ property }) => property === each.property)) known.declared = [...known.declared, each]
    }
    this.#known.set(entity, known)
    return () => known.declared
  }
}
