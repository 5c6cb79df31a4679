import { Buffer } from 'node:buffer'
import { LRUCache } from 'lru-cache'
import type { Entry } from '../core/entry.js'
import type { CacheKey } from '../core/key.js'
import type { StoredBytes } from '../core/ports.js'

/** An entry as it was opened and decoded last, and the bytes it was made of. */
export interface KnownEntry<Value> {
  readonly bytes: Buffer
  readonly entry: Entry
  readonly value: Value
}

/** Of a row beside its text: its object, its dates, the entry's fields and this record. */
const BESIDE_TEXT_BYTES = 1_024

/**
 * Entries that are recognized when the cache shows them again: the same bytes need not be opened and decoded twice.
 *
 * It answers nothing by itself. The cache is asked at every read, its bytes are compared to the last one, and what was made of them is
 * judged each time like any other entry: against shape, epoch, floor and age as they are then. For sources without a near tier;
 * a row that memory holds is not read again before it must be decoded anew.
 */
export class KnownEntries<Value> {
  readonly #entries: LRUCache<CacheKey, KnownEntry<Value>>

  /** @param maxBytes at most: of the stored bytes, and an estimate of what was made of them. */
  constructor(maxBytes: number) {
    this.#entries = new LRUCache({
      maxSize: maxBytes,
      maxEntrySize: Math.ceil(maxBytes / 8),
      sizeCalculation: ({ bytes, entry }) => bytes.length + entry.payload.length + BESIDE_TEXT_BYTES,
    })
  }

  /** What these very bytes, found under `key`, were found to be before. */
  recognize(key: CacheKey, bytes: StoredBytes): KnownEntry<Value> | undefined {
    const known = this.#entries.get(key)
    return known?.bytes.equals(bytes) ? known : undefined
  }

  /** @param value frozen, all the way down: it is handed out again. */
  keep(key: CacheKey, bytes: StoredBytes, entry: Entry, value: Value): void {
    // The reply's bytes are a slice of a much larger piece of what came over the network.
    const own = Buffer.from(bytes)
    this.#entries.set(key, { bytes: own, entry: { ...entry, payload: moved(entry.payload, bytes, own) }, value })
  }

  clear(): void {
    this.#entries.clear()
  }
}

/** The same part of `to` as it is of `from`; itself, where it is none: a payload that was packed has been unpacked into memory of its own. */
function moved(part: Uint8Array, from: Uint8Array, to: Uint8Array): Uint8Array {
  const at = part.byteOffset - from.byteOffset
  const isPart = part.buffer === from.buffer && at >= 0 && at + part.length <= from.length
  return isPart ? to.subarray(at, at + part.length) : part
}
