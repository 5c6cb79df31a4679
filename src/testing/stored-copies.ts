import { type EncryptionOptions, resolveEncryption } from '../adapters/codec/encryption-options.js'
import { Envelope } from '../adapters/codec/envelope.js'
import { PayloadCipher } from '../adapters/codec/payload-cipher.js'
import { systemBytes } from '../core/clock.js'
import type { Entry } from '../core/entry.js'
import { CacheUnavailableError } from '../core/errors.js'
import { type CacheKey, epochKey, parseKey } from '../core/key.js'

/** The part of an ioredis `Redis` that is used here. */
export interface ScannableNode {
  readonly options?: { readonly keyPrefix?: string | undefined }
  scan(cursor: string, match: 'MATCH', pattern: string, count: 'COUNT', keys: number): Promise<[string, string[]]>
  getBuffer(key: string): Promise<Buffer | null>
}

/** An ioredis `Redis` or `Cluster`. */
export type ScannableRedis =
  | ScannableNode
  | (Pick<ScannableNode, 'options'> & { nodes(role: 'master'): readonly ScannableNode[] })

/** One entry as it lies in Redis. */
export interface StoredCopy {
  /** Without the `keyPrefix` of the client. */
  readonly redisKey: CacheKey
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
  if (nodes.length === 0) throw new CacheUnavailableError('scan', 'the cluster is not connected')
  const prefix = redis.options?.keyPrefix ?? ''
  const entries = (await Promise.all(nodes.map((node) => findOn(node, prefix, namespace)))).flat()
  const epoch = entries.find(({ redisKey }) => redisKey === epochKey(namespace))
  const epochText = (Number(epoch?.bytes.toString('latin1')) || 0).toString(36).padStart(8, '0')
  const copies: StoredCopy[] = []
  let unread = 0
  for (const { redisKey, bytes } of entries.filter((each) => each !== epoch)) {
    const place = placeOf(namespace, redisKey)
    const entry = place && envelope.open(bytes, redisKey)
    if (!place || !entry || 'unreadable' in entry) unread++
    else if (entry.epoch === epochText) copies.push({ ...place, redisKey, entry })
  }
  return { copies, unread }
}

interface Found {
  readonly redisKey: CacheKey
  readonly bytes: Buffer
}

async function findOn(node: ScannableNode, prefix: string, namespace: string): Promise<Found[]> {
  const found = new Map<CacheKey, Found>()
  // SCAN knows nothing of key prefixes, and a node of a cluster need not have the one of its client.
  const own = node.options?.keyPrefix ?? ''
  // Of a namespace only what stands in braces behind it is an entry; the epoch has the namespace itself in braces.
  const patterns = [`${escapeGlob(prefix + namespace)}:{*}`, escapeGlob(prefix + epochKey(namespace))]
  for (const pattern of patterns) {
    let cursor = '0'
    do {
      const [next, keys] = await node.scan(cursor, 'MATCH', pattern, 'COUNT', PAGE)
      cursor = next
      const values = await Promise.all(keys.map((key) => node.getBuffer(key.slice(own.length))))
      for (const [at, bytes] of values.entries()) {
        // SCAN may tell of a key twice.
        const redisKey = (keys[at] as string).slice(prefix.length) as CacheKey
        if (bytes !== null) found.set(redisKey, { redisKey, bytes })
      }
    } while (cursor !== '0')
  }
  return [...found.values()]
}

function escapeGlob(text: string): string {
  return text.replaceAll(/[*?[\]\\]/g, '\\$&')
}

/** Undefined for keys that are neither rows' nor lookups', and for those whose id cannot be read back. */
function placeOf(namespace: string, key: CacheKey): Omit<StoredCopy, 'entry' | 'redisKey'> | undefined {
  const { kind, entity, column: columns, id, copyOf } = parseKey(namespace, key) ?? {}
  if ((kind !== 'row' && kind !== 'lookup') || entity === undefined || id === undefined) return undefined
  return { kind, entity, columns, id, isCopy: copyOf !== undefined }
}
