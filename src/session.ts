import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { Change } from './core/change.js'
import type { Clock } from './core/clock.js'
import { ConfigError, CorralError, inWords, kindOf } from './core/errors.js'
import type { CacheKey } from './core/key.js'
import { compareVersions, toVersion, type Version } from './core/version.js'
import { type Floor, UNORDERED_ABSENCE } from './policy/verdict.js'

/**
 * What one user wrote and saw, carried between processes: reads under a session are never older than that.
 *
 * The token belongs into a cookie or header: URL-safe text of at most 1 396 characters. It holds digests of keys and version stamps,
 * no ids and no values.
 */
export interface Session {
  /** Take it after the last call of a request, and hand it to `corral.session(token)` in the next one. */
  readonly token: string
}

/** What a read under a session asks of a key: a floor, or the database itself. */
export type Demand = Floor | 'primary' | undefined

/** Keys a session carries at most, writes and sights together. */
export const MAX_SESSION_KEYS = 64
/** How long a session that wrote more than it can carry reads everything else from the database. */
const OVERFLOW_MS = 60_000

const FORMAT = 1
/** Format, number of keys, how many of them were written, and until when the session reads everything else from the database. */
const HEADER_BYTES = 7
const ITEM_BYTES = 16
const MAC_BYTES = 16
const MAX_TOKEN_LENGTH = Math.ceil(((HEADER_BYTES + MAX_SESSION_KEYS * ITEM_BYTES + MAC_BYTES) * 4) / 3)
/** Set in a stamp on the wire: the row was gone. Stamps are below 2^63. */
const ABSENT = 1n << 63n

interface Known {
  /** Undefined where no version orders the key: it is read from the database. */
  readonly version: Version | undefined
  readonly absent: boolean
  readonly written: boolean
  /** An absence that was seen at this moment of the session. Whatever row was known before, others may have come and gone since: no version orders it. */
  readonly unorderedSince?: number
  /** The moment of the holder's last write of it. Not in a token: all reads of whoever takes it over begin later. */
  readonly writtenSince?: number
}

/** Read from the database from now on. */
const UNCERTAIN: Known = { version: undefined, absent: false, written: true }

/** The token is malformed, oversized, forged or of another format. Thrown by `corral.session(token)` unless it may ignore that. */
export class TokenError extends CorralError {
  constructor(reason: string) {
    super('TOKEN_INVALID', `session token: expected one made by \`session.token\`, found ${reason}`)
  }
}

/** A session under construction. Handed out as `Session`; the repositories see the rest. */
export class SessionLog implements Session {
  readonly #clock: Pick<Clock, 'wallMs'>
  readonly #secrets: readonly string[]
  /** By digest of the key, oldest first. */
  readonly #known = new Map<string, Known>()
  #overflowedUntilMs = 0
  #moment = 0

  /**
   * @param secrets the first signs tokens; those without the signature of one of them are then refused. None: tokens are unsigned.
   * @throws TokenError if `token` is given and is none of ours.
   */
  constructor(options: { clock: Pick<Clock, 'wallMs'>; secrets: readonly string[]; token?: string | undefined }) {
    this.#clock = options.clock
    this.#secrets = options.secrets
    if (options.token !== undefined) this.#read(options.token)
  }

  /** The session's holder wrote these keys. */
  wrote(changes: readonly Pick<Change, 'key' | 'version' | 'absent'>[]): void {
    for (const { key, version, absent } of changes) {
      // In a token an absence without a version is one that was seen. A write without one is no better known than any other.
      this.#learn(digestOf(key), {
        version: version ?? undefined,
        absent: absent && version !== null,
        written: true,
        writtenSince: ++this.#moment,
      })
    }
  }

  /** Passes with each absence that is seen, and each write. Of a read that began at this moment it is known what it came after. */
  get moment(): number {
    return this.#moment
  }

  /**
   * The session's holder was shown a row, or that there is none.
   *
   * @param begun the moment at which the read began that shows it.
   */
  wasShown(key: CacheKey, row: { readonly version: Version | undefined } | undefined, begun: number): void {
    const digest = digestOf(key)
    if (row === undefined) {
      // A read that began before the holder's own write: nobody knows which came first.
      if ((this.#known.get(digest)?.writtenSince ?? 0) > begun) this.#learn(digest, UNCERTAIN)
      else this.sawAbsence(key)
      return
    }
    const { unorderedSince = Number.POSITIVE_INFINITY, written = false } = this.#known.get(digest) ?? {}
    const { version } = row
    if (unorderedSince > begun) this.saw(key, version)
    // Such a read has asked the database: the row came after the absence.
    else if (version !== undefined || written) this.#keep(digest, { version, absent: false, written })
    else this.#known.delete(digest)
  }

  /** The session's holder was shown this version of a row. */
  saw(key: CacheKey, version: Version | undefined): void {
    if (version !== undefined) this.#learn(digestOf(key), { version, absent: false, written: false })
  }

  /** The session's holder was shown that there is no such row: from now on it may not come back as it was. */
  sawAbsence(key: CacheKey): void {
    const digest = digestOf(key)
    const known = this.#known.get(digest)
    // It is read from the database anyway.
    if (known !== undefined && known.version === undefined && known.unorderedSince === undefined) return
    this.#keep(digest, unordered(++this.#moment, known?.written))
  }

  /** What a read of `key` must respect. */
  demandOf(key: CacheKey): Demand {
    const known = this.#known.get(digestOf(key))
    if (known === undefined) return this.#clock.wallMs() < this.#overflowedUntilMs ? 'primary' : undefined
    if (known.unorderedSince !== undefined) return UNORDERED_ABSENCE
    return known.version === undefined ? 'primary' : { version: known.version, absent: known.absent }
  }

  get token(): string {
    const bytes = Buffer.alloc(HEADER_BYTES + this.#known.size * ITEM_BYTES)
    bytes.writeUInt8(FORMAT, 0)
    const items = [...this.#known]
    const written = items.filter(([, known]) => known.written)
    bytes.writeUInt8(items.length, 1)
    bytes.writeUInt8(written.length, 2)
    bytes.writeUInt32BE(Math.ceil(this.#overflowedUntilMs / 1_000), 3)
    let at = HEADER_BYTES
    for (const [digest, { version, absent }] of [...written, ...items.filter(([, known]) => !known.written)]) {
      bytes.write(digest, at, 8, 'latin1')
      bytes.writeBigUInt64BE(BigInt(version ?? 0) | (absent ? ABSENT : 0n), at + 8)
      at += ITEM_BYTES
    }
    const [secret] = this.#secrets
    return (secret === undefined ? bytes : Buffer.concat([bytes, macOf(bytes, secret)])).toString('base64url')
  }

  #learn(digest: string, fresh: Known): void {
    const known = this.#known.get(digest)
    this.#keep(digest, known ? merge(known, fresh) : fresh)
  }

  #keep(digest: string, known: Known): void {
    this.#known.delete(digest)
    this.#known.set(digest, known)
    while (this.#known.size > MAX_SESSION_KEYS) this.#forgetOne()
  }

  /** Sights go first: they only make reads monotonic. A write that must go is made up for by reading the database for a while. */
  #forgetOne(): void {
    for (const [digest, { written }] of this.#known) {
      if (written) continue
      this.#known.delete(digest)
      return
    }
    this.#known.delete(this.#known.keys().next().value as string)
    this.#overflowedUntilMs = this.#clock.wallMs() + OVERFLOW_MS
  }

  #read(token: string): void {
    if (typeof token !== 'string') throw new TokenError(kindOf(token))
    if (token.length > MAX_TOKEN_LENGTH) throw new TokenError(`${token.length} characters`)
    if (!/^[A-Za-z0-9_-]*$/.test(token)) throw new TokenError('characters outside base64url')
    const all = Buffer.from(token, 'base64url')
    const macBytes = this.#secrets.length === 0 ? 0 : MAC_BYTES
    if (all.length < HEADER_BYTES + macBytes) throw new TokenError(`${all.length} bytes`)
    const bytes = all.subarray(0, all.length - macBytes)
    const mac = all.subarray(bytes.length)
    const isSigned = macBytes === 0 || this.#secrets.some((secret) => timingSafeEqual(mac, macOf(bytes, secret)))
    if (!isSigned) throw new TokenError('another signature')
    if (bytes[0] !== FORMAT) throw new TokenError(`format ${bytes[0]}`)
    const count = bytes.readUInt8(1)
    const writes = bytes.readUInt8(2)
    if (count > MAX_SESSION_KEYS || writes > count || bytes.length !== HEADER_BYTES + count * ITEM_BYTES) {
      throw new TokenError(`${bytes.length} bytes for ${count} keys, ${writes} of them written`)
    }
    // A forged or skewed time may make a session read the database for longer, but not for ever.
    this.#overflowedUntilMs = Math.min(bytes.readUInt32BE(3) * 1_000, this.#clock.wallMs() + OVERFLOW_MS)
    for (let item = 0; item < count; item++) {
      const at = HEADER_BYTES + item * ITEM_BYTES
      const stamp = bytes.readBigUInt64BE(at + 8)
      const version = stamp % ABSENT === 0n ? undefined : toVersion(stamp % ABSENT)
      const [absent, written] = [stamp >= ABSENT, item < writes]
      const isUnordered = absent && version === undefined
      const known = isUnordered ? unordered(this.#moment, written) : { version, absent, written }
      this.#known.set(bytes.toString('latin1', at, at + 8), known)
    }
  }
}

function macOf(bytes: Uint8Array, secret: string): Buffer {
  return createHmac('sha256', secret).update('corral session').update(bytes).digest().subarray(0, MAC_BYTES)
}

/** One row, as a read under a session gets at it. */
export interface SessionRead<Row> {
  readonly key: CacheKey
  /** This process may show nothing older from now on, wherever it holds it. */
  heed(floor: Floor): void
  /** As the caller asked for it. */
  read(): Promise<Row | undefined>
  /** As the database has it. */
  primary(): Promise<Row | undefined>
  versionOf(row: Row): Version | undefined
}

/** A read that is never older than what the session knows; the session knows it afterwards. */
export async function readUnder<Row>(session: SessionLog, read: SessionRead<Row>): Promise<Row | undefined> {
  const begun = session.moment
  const demand = session.demandOf(read.key)
  if (typeof demand === 'object' && !demand.isUnordered) read.heed(demand)
  const found = await (demand === 'primary' ? read.primary() : read.read())
  // Floors are bounded: this one may have been forgotten again before it was asked for. And no floor orders an absence without a version.
  const row = typeof demand === 'object' && !satisfies(demand, found, read) ? await read.primary() : found
  session.wasShown(read.key, row && { version: read.versionOf(row) }, begun)
  return row
}

function satisfies<Row>(
  floor: Floor,
  row: Row | undefined,
  { versionOf }: Pick<SessionRead<Row>, 'versionOf'>,
): boolean {
  if (row === undefined) return floor.absent
  const version = versionOf(row)
  return !floor.isUnordered && version !== undefined && compareVersions(version, floor.version) >= 0
}

/** What is behind a session that `corral.session()` made. @throws ConfigError for anything else. */
export function sessionLog(session: Session | undefined): SessionLog | undefined {
  if (session === undefined || session instanceof SessionLog) return session
  throw new ConfigError('session', 'a session made by corral.session()', inWords(kindOf(session)))
}

function unordered(since: number, written = false): Known {
  return { version: undefined, absent: true, written, unorderedSince: since }
}

function merge(known: Known, fresh: Known): Known {
  const writtenSince = fresh.writtenSince ?? known.writtenSince
  const ofBoth = { written: known.written || fresh.written, ...(writtenSince !== undefined && { writtenSince }) }
  // Its own write came after what it had seen. Of a row that it is shown beside an absence nobody knows which came first.
  if (known.unorderedSince !== undefined && fresh.written) return fresh
  if (known.version === undefined || fresh.version === undefined)
    return { version: undefined, absent: false, ...ofBoth }
  const order = compareVersions(known.version, fresh.version)
  if (order > 0) return { ...known, ...ofBoth }
  return { ...fresh, ...ofBoth }
}

function digestOf(key: CacheKey): string {
  return createHash('sha256').update(key).digest().toString('latin1', 0, 8)
}
