import type { TableFacts } from '../adapters/postgres/catalog.js'
import { ConfigError } from '../core/errors.js'

/**
 * By which columns the rows of each table are known in this instance. Rows lie in the cache under the values of their key, and a write ends what lies
 * under the key that it knows: two keys of one table would share their places without a word about whose row it is, and neither would be fenced by the
 * other's writes.
 */
export class TableKeys {
  readonly #keys = new Map<string, string>()

  /** @throws ConfigError when another repository of the table has another key. */
  claim({ entity, table, key }: TableFacts): void {
    const columns = key.map(({ column }) => column).join(', ')
    const known = this.#keys.get(entity)
    if (known === undefined) this.#keys.set(entity, columns)
    else if (known !== columns) {
      const expected = `${known}, as in the other repository of ${entity}: rows of one table have one key; declare other unique columns with \`unique\``
      throw new ConfigError(`${table}.key`, expected, columns)
    }
  }
}
