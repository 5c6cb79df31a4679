import { type EncryptionOptions, resolveEncryption } from '../adapters/codec/encryption-options.js'
import { Envelope } from '../adapters/codec/envelope.js'
import { PayloadCipher } from '../adapters/codec/payload-cipher.js'
import { systemBytes } from '../core/clock.js'
import type { Entry } from '../core/entry.js'
import { type CacheKey, epochKey } from '../core/key.js'

/** The part of an ioredis `Redis` that is used here. */
export interface ScannableNode {
  scan(cursor: string, match: 'MATCH', pattern: string, count: 'COUNT', keys: number): Promise<[string, string[]]>
  getBuffer(key: string): Promise<Buffer | null>
}

/** An ioredis `Redis` or `Cluster`. */
export type ScannableRedis = ScannableNode | { nodes(role: 'master'): readonly ScannableNode[] }

/** One entry as it lies in Redis. */
export interface StoredCopy {
  readonly redisKey: string
  readonly kind: 'row' | 'lookup'
  /** The table's qualified name. */
  readonly entity: string
  /** Of a lookup: the columns looked up, by their real names, joined by commas. */
  readonly columns: string | undefined
  /** Text forms of the key columns, or of the columns looked up. */
  readonly id: readonly string[]
  /** One of a hot key's copies. */
  readonly isCopy: boolean
  readonly entry: Entry
}

const PAGE = 500
/** Begins the digest of an overlong part, which cannot be read back. */
const DIGEST = '~'

/**
 * Every row, absence and lookup that a namespace has in Redis and that would be served if it were read now. `unread`: what cannot be
 * told apart from here, such as results of queries and ids too long for a key.
 *
 * @param encryption as `createCorral` was given it.
 */
export async function findStoredCopies(
  redis: ScannableRedis,
  namespace: string,
  encryption?: EncryptionOptions,
): Promise<{ readonly copies: readonly StoredCopy[]; readonly unread: number }> {
  const resolved = resolveEncryption(encryption)
  const cipher = resolved && new PayloadCipher(resolved, systemBytes)
  const envelope = new Envelope({ compressAboveBytes: 0, maxEntryBytes: Number.POSITIVE_INFINITY, cipher })
  const nodes = 'nodes' in redis ? redis.nodes('master') : [redis]
  const found = await Promise.all(nodes.map((node) => findOn(node, namespace)))
  const entries = found.flat()
  const epoch = entries.find(({ redisKey }) => redisKey === epochKey(namespace))
  const epochText = Number(epoch?.bytes.toString('latin1') ?? 0)
    .toString(36)
    .padStart(8, '0')
  const copies: StoredCopy[] = []
  let unread = 0
  for (const { redisKey, bytes } of entries.filter((each) => each !== epoch)) {
    const place = parseKey(namespace, redisKey)
    const entry = place && envelope.open(bytes, redisKey as CacheKey)
    if (!place || !entry || 'unreadable' in entry) unread++
    else if (entry.epoch === epochText) copies.push({ ...place, redisKey, entry })
  }
  return { copies, unread }
}

async function findOn(node: ScannableNode, namespace: string): Promise<{ redisKey: string; bytes: Buffer }[]> {
  const found: { redisKey: string; bytes: Buffer }[] = []
  // Of a namespace only what stands in braces behind it is an entry; the epoch has the namespace itself in braces.
  for (const pattern of [`${namespace}:{*}`, epochKey(namespace)]) {
    let cursor = '0'
    do {
      const [next, keys] = await node.scan(cursor, 'MATCH', escapeGlob(pattern), 'COUNT', PAGE)
      cursor = next
      const values = await Promise.all(keys.map((key) => node.getBuffer(key)))
      for (const [at, bytes] of values.entries())
        if (bytes !== null) found.push({ redisKey: keys[at] as string, bytes })
    } while (cursor !== '0')
  }
  // SCAN may tell of a key twice.
  return [...new Map(found.map((each) => [each.redisKey, each])).values()]
}

/** All but the star that was meant. */
function escapeGlob(pattern: string): string {
  return pattern.replaceAll(/[[\]?\\]/g, '\\$&')
}

/** The inverse of core/key.ts. Undefined for keys that are neither rows' nor lookups'. */
function parseKey(namespace: string, redisKey: string): Omit<StoredCopy, 'entry' | 'redisKey'> | undefined {
  const start = `${namespace}:{`
  if (!redisKey.startsWith(start) || !redisKey.endsWith('}')) return undefined
  const text = redisKey.slice(start.length, -1)
  const at = text.search(/[/@?#]/)
  const kind = { '/': 'row', '@': 'lookup' }[text[at] ?? ''] as 'row' | 'lookup' | undefined
  if (kind === undefined) return undefined
  const [encoded = '', copy] = text.slice(at + 1).split(':')
  const equals = encoded.indexOf('=')
  const columns = kind === 'lookup' ? decode(encoded.slice(0, equals)) : undefined
  const id = (kind === 'lookup' ? encoded.slice(equals + 1) : encoded).split(',')
  if (id.some((part) => part.startsWith(DIGEST))) return undefined
  return { kind, entity: decode(text.slice(0, at)), columns, id: id.map(decode), isCopy: copy !== undefined }
}

function decode(part: string): string {
  return decodeURIComponent(part)
}
