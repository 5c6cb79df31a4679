import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { Change } from './core/change.js'
import type { Clock } from './core/clock.js'
import { ConfigError, CorralError } from './core/errors.js'
import type { CacheKey } from './core/key.js'
import { compareVersions, toVersion, type Version } from './core/version.js'
import type { Floor } from './policy/verdict.js'

/**
 * What one user wrote and saw, carried between processes: reads under a session are never older than that.
 *
 * The token belongs into a cookie or header: URL-safe text of at most 1 395 characters. It holds digests of keys and version stamps,
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
const HEADER_BYTES = 6
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
}

/** The token is malformed, oversized, forged or of another format. Thrown by `corral.session(token)` unless it may ignore that. */
export class TokenError extends CorralError {
  constructor(reason: string) {
    super('TOKEN_INVALID', `session token: expected one made by \`session.token\`, found ${reason}`)
  }
}

/** A session under construction. Handed out as `Session`; the repositories see the rest. */
export class SessionLog implements Session {
  readonly #clock: Pick<Clock, 'wallMs'>
  readonly #secret: string | undefined
  /** By digest of the key, oldest first. */
  readonly #known = new Map<string, Known>()
  #overflowedUntilMs = 0

  /**
   * @param secret signs tokens; tokens without its signature are then refused.
   * @throws TokenError if `token` is given and is none of ours.
   */
  constructor(options: { clock: Pick<Clock, 'wallMs'>; secret: string | undefined; token?: string | undefined }) {
    this.#clock = options.clock
    this.#secret = options.secret
    if (options.token !== undefined) this.#read(options.token)
  }

  /** The session's holder wrote these keys. */
  wrote(changes: readonly Pick<Change, 'key' | 'version' | 'absent'>[]): void {
    for (const { key, version, absent } of changes) {
      this.#learn(digestOf(key), { version: version ?? undefined, absent, written: true })
    }
  }

  /** The session's holder was shown this version of a row. */
  saw(key: CacheKey, version: Version | undefined): void {
    if (version !== undefined) this.#learn(digestOf(key), { version, absent: false, written: false })
  }

  /** What a read of `key` must respect. */
  demandOf(key: CacheKey): Demand {
    const known = this.#known.get(digestOf(key))
    if (known === undefined) return this.#clock.wallMs() < this.#overflowedUntilMs ? 'primary' : undefined
    return known.version === undefined ? 'primary' : { version: known.version, absent: known.absent }
  }

  get token(): string {
    const bytes = Buffer.alloc(HEADER_BYTES + this.#known.size * ITEM_BYTES)
    bytes.writeUInt8(FORMAT, 0)
    bytes.writeUInt8(this.#known.size, 1)
    bytes.writeUInt32BE(Math.ceil(this.#overflowedUntilMs / 1_000), 2)
    let at = HEADER_BYTES
    for (const [digest, { version, absent }] of this.#known) {
      bytes.write(digest, at, 8, 'latin1')
      bytes.writeBigUInt64BE(BigInt(version ?? 0) | (absent ? ABSENT : 0n), at + 8)
      at += ITEM_BYTES
    }
    return Buffer.concat([bytes, this.#mac(bytes)]).toString('base64url')
  }

  #learn(digest: string, fresh: Known): void {
    const known = this.#known.get(digest)
    const merged = known ? merge(known, fresh) : fresh
    this.#known.delete(digest)
    this.#known.set(digest, merged)
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
    if (typeof token !== 'string') throw new TokenError(`a ${typeof token}`)
    if (token.length > MAX_TOKEN_LENGTH) throw new TokenError(`${token.length} characters`)
    if (!/^[A-Za-z0-9_-]*$/.test(token)) throw new TokenError('characters outside base64url')
    const all = Buffer.from(token, 'base64url')
    const bytes = all.subarray(0, all.length - (this.#secret === undefined ? 0 : MAC_BYTES))
    if (bytes.length < HEADER_BYTES) throw new TokenError(`${all.length} bytes`)
    const mac = this.#mac(bytes)
    if (mac.length > 0 && !timingSafeEqual(mac, all.subarray(bytes.length))) throw new TokenError('another signature')
    if (bytes[0] !== FORMAT) throw new TokenError(`format ${bytes[0]}`)
    const count = bytes.readUInt8(1)
    if (count > MAX_SESSION_KEYS || bytes.length !== HEADER_BYTES + count * ITEM_BYTES) {
      throw new TokenError(`${bytes.length} bytes for ${count} keys`)
    }
    // A forged or skewed time may make a session read the database for longer, but not for ever.
    this.#overflowedUntilMs = Math.min(bytes.readUInt32BE(2) * 1_000, this.#clock.wallMs() + OVERFLOW_MS)
    for (let at = HEADER_BYTES; at < bytes.length; at += ITEM_BYTES) {
      const stamp = bytes.readBigUInt64BE(at + 8)
      const version = stamp % ABSENT === 0n ? undefined : toVersion(stamp % ABSENT)
      this.#known.set(bytes.toString('latin1', at, at + 8), { version, absent: stamp >= ABSENT, written: true })
    }
  }

  #mac(bytes: Uint8Array): Buffer {
    if (this.#secret === undefined) return Buffer.alloc(0)
    return createHmac('sha256', this.#secret).update('corral session').update(bytes).digest().subarray(0, MAC_BYTES)
  }
}

/** What is behind a session that `corral.session()` made. @throws ConfigError for anything else. */
export function sessionLog(session: Session | undefined): SessionLog | undefined {
  if (session === undefined || session instanceof SessionLog) return session
  throw new ConfigError('session', 'a session made by corral.session()', session)
}

function merge(known: Known, fresh: Known): Known {
  const written = known.written || fresh.written
  if (known.version === undefined || fresh.version === undefined) return { version: undefined, absent: false, written }
  const order = compareVersions(known.version, fresh.version)
  if (order > 0) return { ...known, written }
  return { ...fresh, written }
}

function digestOf(key: CacheKey): string {
  return createHash('sha256').update(key).digest().toString('latin1', 0, 8)
}
