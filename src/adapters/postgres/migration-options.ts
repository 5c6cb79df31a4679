import { ConfigError } from '../../core/errors.js'

/** @throws ConfigError for what cannot be the name of anything in a database. */
export function requireName(option: string, found: unknown): asserts found is string {
  if (typeof found !== 'string' || found === '' || found.includes('\0')) {
    throw new ConfigError(option, 'the name of a database object', found)
  }
}

/** @throws ConfigError for names that cannot be told apart once schema and table are written with a dot between them. */
export function requireTable(names: { readonly schema: unknown; readonly table: unknown }): void {
  for (const option of ['schema', 'table'] as const) requireName(option, names[option])
  for (const option of ['schema', 'table'] as const) {
    const found = names[option] as string
    if (found.includes('.')) {
      throw new ConfigError(option, 'a name without a dot (the schema is an option of its own)', found)
    }
  }
}

/** A column, or a list of them that is not empty. @throws ConfigError */
export function columnsOf(option: string, found: unknown): readonly string[] {
  const columns = typeof found === 'string' ? [found] : found
  if (!Array.isArray(columns)) throw new ConfigError(option, 'a column or a list of columns', found)
  if (columns.length === 0) throw new ConfigError(option, 'at least one column', columns)
  for (const column of columns) requireName(option, column)
  return columns
}

/** @throws ConfigError: a string is a list of its letters to what goes through it. */
export function requireList(option: string, found: unknown): asserts found is readonly unknown[] {
  if (!Array.isArray(found)) throw new ConfigError(option, 'a list of columns', found)
}
