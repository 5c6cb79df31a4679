import type { Inside, RepositoryInside } from '../inside.js'
import { UsageError } from './usage-error.js'

/** The repository of that name, as the application calls its table. Of several over one table, the one that was made first. */
export function chooseRepository({ repositories }: Inside, name: string): RepositoryInside {
  const found = repositories.find(({ table }) => table === name)
  if (found !== undefined) return found
  const known = [...new Set(repositories.map(({ table }) => table))].join(', ')
  const hint = known === '' ? 'the config makes none; import the modules that do' : `there are ${known}`
  throw new UsageError(`no repository ${name}: ${hint}`)
}

/** An id as it is typed: the value of the key's column, or an object in JSON with those of all its columns. */
export function idFrom({ options }: RepositoryInside, text: string): unknown {
  if (typeof options.key === 'string' || options.key.length === 1) return text
  let id: unknown
  try {
    id = JSON.parse(text)
  } catch {
    id = undefined
  }
  if (typeof id === 'object' && id !== null && !Array.isArray(id)) return id
  const example = `{${options.key.map((column) => `"${column}":…`).join(',')}}`
  throw new UsageError(`id ${text}: expected an object in JSON, such as '${example}'`)
}
