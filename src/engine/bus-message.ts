import { Buffer } from 'node:buffer'
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Change } from '../core/change.js'
import type { CacheKey } from '../core/key.js'
import type { StoredBytes } from '../core/ports.js'
import { toVersion } from '../core/version.js'

/** Version of the message format. A message of another version is not understood, and so may have said anything. */
const FORMAT = 1
/** Longest message that is looked at; longer ones are not ours. */
const MAX_LENGTH = 4 * 1024 * 1024
const MAC_LENGTH = 22

/** What one process tells the others. Numbered per publisher from 1, so that a gap shows. */
export interface BusMessage {
  readonly publisher: string
  readonly number: number
  /** A heartbeat carries no changes. */
  readonly changes: readonly AnnouncedChange[]
  /** The publisher's last word: its silence from now on means nothing. */
  readonly leaves: boolean
}

export interface AnnouncedChange extends Pick<Change, 'key' | 'version' | 'absent' | 'hasFloor'> {
  /** The new entry, where its writer publishes. As little to be trusted as anything from the store. */
  readonly entry?: StoredBytes | undefined
}

export type Refused = { readonly refused: 'malformed' | 'forged' } | { readonly refused: 'unknown-format' }

/**
 * Messages as text: `[format, publisher, number, [[key, version, flags], …]]`, followed by a `1` when the publisher leaves, with
 * the HMAC of the rest in front when the fleet shares a secret. Of several secrets the first signs, and all are accepted. A change whose row is published
 * carries the row as a fourth element, in base64; a release that does not know that element drops its copy. Reading never throws, whatever the text.
 */
export class BusMessageCodec {
  readonly #secrets: readonly string[]

  /** @param secrets none: messages are unsigned. */
  constructor(secrets: readonly string[]) {
    this.#secrets = secrets
  }

  write(message: BusMessage): string {
    const changes = message.changes.map(({ key, version, absent, hasFloor, entry }) => [
      key,
      version ?? 0,
      (absent ? 1 : 0) + (hasFloor ? 2 : 0),
      ...(entry ? [Buffer.from(entry).toString('base64')] : []),
    ])
    const text = JSON.stringify([FORMAT, message.publisher, message.number, changes, ...(message.leaves ? [1] : [])])
    const [secret] = this.#secrets
    return secret === undefined ? text : macOf(text, secret) + text
  }

  read(message: string): BusMessage | Refused {
    if (message.length > MAX_LENGTH) return { refused: 'malformed' }
    let text = message
    if (this.#secrets.length > 0) {
      text = message.slice(MAC_LENGTH)
      const given = message.slice(0, MAC_LENGTH)
      if (!this.#secrets.some((secret) => isSame(given, macOf(text, secret)))) return { refused: 'forged' }
    }
    let parsed: unknown
    try {
      parsed = JSON.parse(text)
    } catch {
      return { refused: 'malformed' }
    }
    if (!Array.isArray(parsed)) return { refused: 'malformed' }
    if (parsed[0] !== FORMAT) return { refused: Number.isInteger(parsed[0]) ? 'unknown-format' : 'malformed' }
    const [, publisher, number, list, leaves] = parsed
    if (
      typeof publisher !== 'string' ||
      publisher.length > 64 ||
      !Number.isSafeInteger(number) ||
      number < 1 ||
      !Array.isArray(list)
    ) {
      return { refused: 'malformed' }
    }
    const changes: AnnouncedChange[] = []
    for (const item of list) {
      const change = readChange(item)
      if (change === undefined) return { refused: 'malformed' }
      changes.push(change)
    }
    return { publisher, number, changes, leaves: leaves === 1 }
  }
}

function macOf(text: string, secret: string): string {
  return createHmac('sha256', secret).update(text).digest('base64url').slice(0, MAC_LENGTH)
}

function isSame(given: string, expected: string): boolean {
  const [one, other] = [Buffer.from(given), Buffer.from(expected)]
  return one.length === other.length && timingSafeEqual(one, other)
}

function readChange(item: unknown): AnnouncedChange | undefined {
  if (!Array.isArray(item)) return undefined
  const [key, version, flags, entry] = item
  if (typeof key !== 'string' || !Number.isInteger(flags)) return undefined
  const stamp = version === 0 ? null : toVersion(version)
  if (stamp === undefined) return undefined
  const change = { key: key as CacheKey, version: stamp, absent: (flags & 1) !== 0, hasFloor: (flags & 2) !== 0 }
  return typeof entry === 'string' ? { ...change, entry: Buffer.from(entry, 'base64') } : change
}
