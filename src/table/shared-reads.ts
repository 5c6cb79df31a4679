import { handOut } from '../adapters/codec/read-only.js'
import type { CacheKey } from '../core/key.js'
import type { CanonicalId } from '../core/ports.js'
import type { Reader } from '../engine/reader.js'

type RowReader = Pick<Reader<CanonicalId, object>, 'readShared' | 'join'>

/** Types, as the database prints them, of whose values drivers make no bytes. What an enum is called, a domain over `bytea` may be called as well. */
const WITHOUT_BYTES =
  /^(?:smallint|integer|bigint|numeric|real|double precision|boolean|text|character|uuid|date|time|timestamp|interval|jsonb?)\b/

/**
 * Reads of one tick that are about the row that was asked for last: the promise is there already, and to join it costs a comparison, where a
 * read costs a key and two promises. Most readers of a stampede come this way.
 *
 * Not for readers of whom somebody wants to know one by one (spans, the counting of hot keys), and not for rows in which something can
 * still be changed: bytes.
 */
export class SharedReads {
  readonly #reader: RowReader
  #id: string | undefined
  #read: ReturnType<RowReader['readShared']> | undefined
  #carriesBytes = false

  constructor(reader: RowReader) {
    this.#reader = reader
  }

  /** Undefined for rows that every reader needs a copy of. */
  static of(columns: readonly { readonly type: string }[], reader: RowReader): SharedReads | undefined {
    return columns.every(({ type }) => WITHOUT_BYTES.test(type)) ? new SharedReads(reader) : undefined
  }

  /**
   * The answer to a read that is under way and may be joined; undefined: read.
   *
   * @param id as the caller spells it. In any but the canonical spelling it is not recognized.
   */
  join(id: unknown): Promise<object | undefined> | undefined {
    const read = this.#read
    if (read === undefined || this.#id !== (typeof id === 'number' ? String(id) : id)) return undefined
    return this.#reader.join(read) ? read.answer : undefined
  }

  read(key: CacheKey, id: CanonicalId): Promise<object | undefined> {
    const read = this.#reader.readShared(key, id)
    if (this.#carriesBytes || id.length > 1) return read.answer
    this.#id = id[0] as string
    this.#read = read
    read.answer.then(this.#lookAt, ignore)
    return read.answer
  }

  /** A type parser of the application's may make bytes of anything. Then each reader gets a copy from now on. */
  readonly #lookAt = (row: object | undefined): void => {
    if (row === undefined || handOut(row) === row) return
    this.#carriesBytes = true
    this.#read = undefined
  }
}

function ignore(): void {}
