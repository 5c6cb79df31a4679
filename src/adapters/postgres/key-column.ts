import { KeyError } from '../../core/errors.js'
import type { CanonicalId } from '../../core/ports.js'

/**
 * Answer of `canonical` for a well-formed id that no row of the table can have: the reader answers `undefined` without a query. An id that is only too
 * large or too long for the column is none of these: the column may have been widened since this process looked.
 */
export const IMPOSSIBLE: unique symbol = Symbol('an id no row can have')
export type Impossible = typeof IMPOSSIBLE

/** The column types an id may have; a domain counts as the type it is over. */
export type KeyType =
  | { readonly name: 'smallint' | 'integer' | 'bigint' | 'uuid' | 'text' | 'varchar' | 'char' | 'boolean' }
  /** `sqlName`: quoted and schema-qualified. */
  | { readonly name: 'enum'; readonly sqlName: string }

/** `KeyType` in words, for messages. */
export const KEY_TYPES =
  'smallint, integer, bigint, uuid, text, varchar, char, boolean, an enum or a domain over one of these'

/** A type as the catalog has it, below all domains. */
export interface CatalogType {
  /** Of a type in `pg_catalog` its internal name (`int8`, `bpchar`); otherwise empty. */
  readonly builtin: string
  /** Quoted and schema-qualified. */
  readonly sqlName: string
  readonly isEnum: boolean
}

/** The key type a catalog type is; undefined for one whose values have several spellings, or an equality of their own. */
export function keyTypeOf(base: CatalogType): KeyType | undefined {
  if (base.isEnum) return { name: 'enum', sqlName: base.sqlName }
  switch (base.builtin) {
    case 'int2':
      return { name: 'smallint' }
    case 'int4':
      return { name: 'integer' }
    case 'int8':
      return { name: 'bigint' }
    case 'uuid':
      return { name: 'uuid' }
    case 'text':
      return { name: 'text' }
    case 'bool':
      return { name: 'boolean' }
    case 'varchar':
      return { name: 'varchar' }
    case 'bpchar':
      return { name: 'char' }
    default:
      return undefined
  }
}

/**
 * One column of a key or of a unique column list, and the one spelling each of its values has in a cache key.
 *
 * Two spellings of one id must give one cache key: a write fences one key only, and an entry under the other
 * would stay stale. So `canonical` gives what `column::text` gives in Postgres, and two values have the same canonical
 * form exactly when Postgres finds them equal.
 */
export class KeyColumn {
  /** Real name in the database. */
  readonly column: string
  /** Name in row objects, and in queries on the user's own Kysely. */
  readonly property: string
  readonly type: KeyType

  constructor({ column, property, type }: { column: string; property: string; type: KeyType }) {
    this.column = column
    this.property = property
    this.type = Object.freeze(type)
    Object.freeze(this)
  }

  /** Throws `KeyError` for what is no id of this type at all: a bad id must not fail the batch it would travel in. */
  canonical(value: unknown): string | Impossible {
    switch (this.type.name) {
      case 'smallint':
      case 'integer':
      case 'bigint':
        return this.#integer(value)
      case 'uuid':
        return this.#uuid(value)
      case 'boolean':
        return this.#boolean(value)
      case 'text':
      case 'varchar':
      // Not checked against the labels: one may be added while we run. A text that is no label finds no row.
      case 'enum':
        return this.#text(value)
      case 'char':
        // Trailing blanks of a character(n) are padding: they count neither in comparisons nor in `::text`.
        return this.#text(typeof value === 'string' ? value.replace(TRAILING_BLANKS, '') : value)
    }
  }

  /** Whether the column's type, as it was found, has this value. */
  holds(canonical: string): boolean {
    const { name } = this.type
    if (name !== 'smallint' && name !== 'integer') return true
    const [value, most] = [Number(canonical), name === 'smallint' ? 2 ** 15 : 2 ** 31]
    return value >= -most && value < most
  }

  /**
   * The canonical form of this column in a row that was loaded through the user's Kysely; undefined when it is null.
   * Throws `KeyError` when a type parser of the user's has made something of it that does not tell ids apart.
   */
  fromRow(row: object): string | undefined {
    const value = (row as Record<string, unknown>)[this.property]
    if (value === null) return undefined
    const canonical = this.canonical(value)
    if (canonical === IMPOSSIBLE) throw this.#malformed(`a ${this.type.name} as the database holds it`, value)
    return canonical
  }

  #integer(value: unknown): string | Impossible {
    // Nearly every caller has one of these two in hand; bigints would take far longer.
    if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value)
    if (typeof value === 'string' && PLAIN.test(value)) return value
    const text = typeof value === 'string' ? value : typeof value === 'bigint' ? String(value) : ''
    const [, sign, digits] = INTEGER.exec(text) ?? []
    if (digits === undefined) throw this.#malformed('a safe integer, a bigint or a string of decimal digits', value)
    if (digits.length > LONGEST_BIGINT) return IMPOSSIBLE
    const integer = BigInt(sign === '-' ? `-${digits}` : digits)
    return BigInt.asIntN(64, integer) === integer ? String(integer) : IMPOSSIBLE
  }

  #uuid(value: unknown): string {
    const text = typeof value === 'string' ? value : ''
    const inner = text.startsWith('{') && text.endsWith('}') ? text.slice(1, -1) : text
    if (!UUID.test(inner)) throw this.#malformed('a uuid', value)
    return inner.replaceAll('-', '').toLowerCase().replace(UUID_GROUPS, '$1-$2-$3-$4-$5')
  }

  #boolean(value: unknown): string {
    const spelled = typeof value === 'string' ? value.toLowerCase() : value
    if (spelled === true || spelled === 'true' || spelled === 't') return 'true'
    if (spelled === false || spelled === 'false' || spelled === 'f') return 'false'
    throw this.#malformed('a boolean', value)
  }

  #text(value: unknown): string | Impossible {
    if (typeof value !== 'string') throw this.#malformed('a string', value)
    // Postgres stores neither; sent to it, a NUL fails the statement and half a surrogate pair becomes U+FFFD, another id.
    return value.includes('\0') || !value.isWellFormed() ? IMPOSSIBLE : value
  }

  #malformed(expected: string, found: unknown): KeyError {
    return new KeyError(this.property, expected, found)
  }
}

/**
 * The canonical form of an id as a caller gives it: for one column the bare value or `{ property: value }`, for several
 * an object with exactly their properties. Throws `KeyError` for anything else.
 */
export function canonicalId(columns: readonly KeyColumn[], id: unknown): CanonicalId | Impossible {
  if (columns.length === 1 && typeof id !== 'object') {
    const only = (columns[0] as KeyColumn).canonical(id)
    return only === IMPOSSIBLE ? IMPOSSIBLE : [only]
  }
  const values = partsOf(columns, id)
  const parts = columns.map((column, at) => column.canonical(values[at]))
  return parts.includes(IMPOSSIBLE) ? IMPOSSIBLE : (parts as string[])
}

/** One text for each id. No part of an id holds a NUL: such an id is impossible. */
export function identityOf(id: readonly unknown[]): string {
  return id.join('\0')
}

/** The id a loaded row has in these columns; undefined when one of them is null, as a unique column may be. */
export function idFromRow(columns: readonly KeyColumn[], row: object): CanonicalId | undefined {
  const parts = columns.map((column) => column.fromRow(row))
  return parts.includes(undefined) ? undefined : (parts as string[])
}

/** Texts that are canonical and surely within 64 bits. */
const PLAIN = /^[1-9]\d{0,17}$/
const LONGEST_BIGINT = 19
const INTEGER = /^([+-]?)0*(\d+)$/
const TRAILING_BLANKS = / +$/
// As uuid_in reads it: 32 digits, a hyphen allowed after every fourth, optionally all in braces.
const UUID = /^[0-9a-f]{4}(?:-?[0-9a-f]{4}){7}$/i
const UUID_GROUPS = /^(.{8})(.{4})(.{4})(.{4})(.{12})$/

function partsOf(columns: readonly KeyColumn[], id: unknown): readonly unknown[] {
  const isObject = typeof id === 'object' && id !== null && !Array.isArray(id)
  if (!isObject && columns.length === 1) return [id]
  const properties = columns.map((column) => column.property)
  if (!isObject) throw new KeyError(properties.join(', '), 'an object with these properties', id)
  for (const name of Object.keys(id)) {
    if (!properties.includes(name)) throw new KeyError(name, `only ${properties.join(', ')} in an id`, id)
  }
  const missing = properties.find((property) => !(property in id))
  if (missing !== undefined) throw new KeyError(missing, `an id that has ${properties.join(', ')}`, id)
  return properties.map((property) => (id as Record<string, unknown>)[property])
}
