import { createHash } from 'node:crypto'

declare const brand: unique symbol

/** A complete cache key. Only this module makes one, so no raw id ever reaches a store. */
export type CacheKey = string & { readonly [brand]: 'CacheKey' }

/**
 * What a key stands for: a row by its key, a row's key by a unique column, the result of a named query, or the mark that stands
 * for a state of a table.
 */
export type KeyKind = 'row' | 'lookup' | 'query' | 'mark'

const KIND_MARK = { row: '/', lookup: '@', query: '?', mark: '#' } as const
const KIND_OF = new Map(Object.entries(KIND_MARK).map(([kind, mark]) => [mark as string, kind as KeyKind]))
/** Begins the digest of an overlong part, and occurs nowhere else in a key. */
const DIGEST = '~'
const SAFE = /^[A-Za-z0-9_.-]*$/
const UNSAFE = /[^A-Za-z0-9_.-]/gu
/** Parts longer than this travel as a digest, so that a 10 kB id does not become a 10 kB key. */
const LONGEST_PART = 200

/**
 * The part of a key that is the same for all ids of one entity, for example `shop:{public.products/`.
 *
 * @param namespace already validated: letters, digits, `_`, `.`, `-`.
 * @param entity the table's qualified name, or the query's name.
 * @param column for a lookup: the columns looked up. For a mark: the column whose value it is about.
 */
export function keyPrefix(namespace: string, kind: KeyKind, entity: string, column?: string): string {
  const within = column === undefined ? '' : `${encodePart(column)}=`
  return `${namespace}:{${encodePart(entity)}${KIND_MARK[kind]}${within}`
}

/**
 * Completes a prefix with the parts of one id: `shop:{public.products/42}`.
 *
 * The braces are a Redis Cluster hash tag: the entry and its guard land on one slot, so that one
 * script can touch both. No id can collide with or escape into another key, because outside
 * `A-Z a-z 0-9 _ . -` every byte of a part is written as `%XX`, parts are joined by `,`, and the digest
 * of an overlong part starts with `~`, neither of which an encoded part can contain.
 */
export function cacheKey(prefix: string, parts: readonly string[]): CacheKey {
  const id = parts.length === 1 ? encodePart(parts[0] as string) : parts.map(encodePart).join(',')
  return `${prefix}${id}}` as CacheKey
}

/**
 * The key of one copy of a hot key's entry: `shop:{public.products/42:slot0.3}` for `shop:{public.products/42}`.
 *
 * The suffix stands within the braces, so that the copy and its guard share a slot, and that not the original's. No row's key
 * looks like it, because a key's parts have no `:`.
 *
 * @param suffix see `copySuffixes` in policy/slot-copies.ts.
 */
export function copyKey(key: CacheKey, suffix: string): CacheKey {
  return `${key.slice(0, -1)}${suffix}}` as CacheKey
}

/** The key under which a namespace's epoch lies, and as whose change a new one is announced. No key of an entry looks like it. */
export function epochKey(namespace: string): CacheKey {
  return `{${namespace}}:epoch` as CacheKey
}

/**
 * The key under which a shard keeps the relay's tick. No key of an entry looks like it.
 *
 * @param place tells the shards of a cluster apart: the key's slot follows from it, and has to be one of the shard's. 0: there is one shard.
 */
export function tickKey(namespace: string, place: number): CacheKey {
  return (place === 0 ? `{${namespace}}:tick` : `{${namespace}:${place}}:tick`) as CacheKey
}

/** The key of the short-lived guard (fence and lease) beside an entry; same slot by the shared hash tag. */
export function guardKey(key: CacheKey): string {
  return `${key}#`
}

/** What a key says of itself: the inverse of the functions above. */
export interface KeyParts {
  readonly kind: KeyKind
  /** What all keys of its kind, entity and column begin with: see `keyPrefix`. */
  readonly prefix: string
  /** The table's qualified name, or the query's name. Overlong ones as their digest. */
  readonly entity: string
  readonly column: string | undefined
  /** Undefined: an overlong part was written as a digest, and cannot be read back. */
  readonly id: readonly string[] | undefined
  /** The key of the hot row that this is a copy of. */
  readonly copyOf: CacheKey | undefined
}

/** Undefined for whatever is not the key of an entry or a mark of this namespace. Never throws. */
export function parseKey(namespace: string, key: string): KeyParts | undefined {
  const start = `${namespace}:{`
  if (!key.startsWith(start) || !key.endsWith('}')) return undefined
  const body = key.slice(start.length, -1)
  const at = body.search(/[/@?#]/)
  const kind = KIND_OF.get(body[at] ?? '')
  if (kind === undefined) return undefined
  const [text = '', suffix] = body.slice(at + 1).split(':')
  // A lookup is always about columns, a mark sometimes; no part of an id contains the sign.
  const equals = text.indexOf('=')
  try {
    const id = text.slice(equals + 1).split(',')
    return {
      kind,
      prefix: key.slice(0, start.length + at + 1 + equals + 1),
      entity: decodeURIComponent(body.slice(0, at)),
      column: equals < 0 ? undefined : decodeURIComponent(text.slice(0, equals)),
      id: id.some((part) => part.startsWith(DIGEST)) ? undefined : id.map(decodeURIComponent),
      copyOf: suffix === undefined ? undefined : (`${key.slice(0, key.lastIndexOf(':'))}}` as CacheKey),
    }
  } catch {
    return undefined
  }
}

/** Whether a key is a table's mark. No encoded part and no other kind of key contains the sign. */
export function isMark(key: CacheKey): boolean {
  return key.includes(KIND_MARK.mark)
}

function encodePart(part: string): string {
  const encoded = SAFE.test(part) ? part : part.replace(UNSAFE, encodeCharacter)
  if (encoded.length <= LONGEST_PART) return encoded
  // Of the encoded part: UTF-8 has one form for all halves of surrogate pairs.
  return `${DIGEST}${createHash('sha256').update(encoded).digest('base64url')}.${part.length}`
}

function encodeCharacter(character: string): string {
  // Half a surrogate pair has no UTF-8 form; Buffer would write U+FFFD for it, which is another id.
  if (!character.isWellFormed()) return `%u${character.charCodeAt(0).toString(16).toUpperCase()}`
  let encoded = ''
  for (const byte of Buffer.from(character, 'utf8')) encoded += `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  return encoded
}
