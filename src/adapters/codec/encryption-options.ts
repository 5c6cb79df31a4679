import { ConfigError, inWords } from '../../core/errors.js'

/** Encryption of what lies in the cache and travels between processes. See docs/guides/security.md for rolling it out and rotating keys. */
export interface EncryptionOptions {
  /** Id of the key that entries are sealed with. `null`: they are written in the clear and encrypted ones are read, the first step of a roll-out. */
  readonly current: string | null
  /** By id (1 to 16 letters, digits, `_`, `.` or `-`), 32 bytes each: every key that entries may still be sealed with. */
  readonly keys: Readonly<Record<string, Uint8Array>>
  /** `accept`: entries in the clear are read as well, while processes without encryption are still about. Default `refuse`. */
  readonly plain?: 'refuse' | 'accept'
}

/** After defaults and checks. */
export interface ResolvedEncryption {
  readonly current: string | null
  readonly keys: ReadonlyMap<string, Uint8Array>
  readonly plain: 'refuse' | 'accept'
}

const KEY_BYTES = 32
const ID = /^[A-Za-z0-9_.-]{1,16}$/

/** @throws ConfigError for anything that is no `EncryptionOptions`. No message shows a key. */
export function resolveEncryption(given: unknown): ResolvedEncryption | undefined {
  if (given === undefined) return undefined
  if (typeof given !== 'object' || given === null) {
    throw new ConfigError('encryption', 'an object of options', typeof given)
  }
  const { current, keys: secrets, plain, ...unknown } = given as Record<string, unknown>
  for (const name of Object.keys(unknown)) {
    throw new ConfigError(`encryption.${name}`, '`current`, `keys` or `plain`', inWords(`unknown option ${name}`))
  }
  const keys = keysOf(secrets)
  if (current !== null && (typeof current !== 'string' || !keys.has(current))) {
    // What is no id may be a key in the wrong place.
    const found = typeof current === 'string' && ID.test(current) ? current : typeof current
    throw new ConfigError('encryption.current', `null or one of ${[...keys.keys()].join(', ')}`, found)
  }
  if (plain !== undefined && plain !== 'refuse' && plain !== 'accept') {
    throw new ConfigError('encryption.plain', '`refuse` or `accept`', plain)
  }
  // Whoever writes in the clear has to read in the clear.
  return { current, keys, plain: current === null ? 'accept' : (plain ?? 'refuse') }
}

function keysOf(secrets: unknown): Map<string, Uint8Array> {
  if (typeof secrets !== 'object' || secrets === null || Object.keys(secrets).length === 0) {
    throw new ConfigError('encryption.keys', 'an object with a key of 32 bytes for each id', typeof secrets)
  }
  const keys = new Map<string, Uint8Array>()
  for (const [id, key] of Object.entries(secrets)) {
    if (!ID.test(id)) {
      const found = `one of ${id.length} characters`
      throw new ConfigError('encryption.keys', 'ids of 1 to 16 letters, digits, `_`, `.` or `-`', found)
    }
    if (!(key instanceof Uint8Array) || key.length !== KEY_BYTES) {
      const found = key instanceof Uint8Array ? `${key.length} bytes` : typeof key
      throw new ConfigError(`encryption.keys.${id}`, `a Buffer or Uint8Array of ${KEY_BYTES} bytes`, found)
    }
    keys.set(id, key)
  }
  return keys
}
