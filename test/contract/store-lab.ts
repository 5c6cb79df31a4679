import { Buffer } from 'node:buffer'
import { envelope } from '../../src/adapters/codec/envelope.js'
import type { EntryKind, NewEntry } from '../../src/core/entry.js'
import type { CacheKey } from '../../src/core/key.js'
import type {
  CacheStore,
  FenceOutcome,
  FenceRequest,
  FillOutcome,
  FillRequest,
  LeaseReply,
  LeaseRequest,
  StoredBytes,
} from '../../src/core/ports.js'
import type { Version } from '../../src/core/version.js'
import { WIRE } from '../../src/core/wire.js'

/** A store to examine, and the hand of fate over it. */
export interface StoreUnderTest {
  readonly store: CacheStore
  /** A key that no other test uses. */
  newKey(): CacheKey
  /** Lets this much of the store's time pass. */
  pass(ms: number): Promise<void>
  /** What memory pressure does to the entry, or to its guard. */
  evictEntry(key: CacheKey): Promise<void>
  evictGuard(key: CacheKey): Promise<void>
}

/** A snapshot that has seen every transaction below `xmin`. */
export function snapshotFrom(xmin: number): string {
  return `${xmin}:${xmin}:`
}

export function newEntry(kind: EntryKind, version: string | undefined, text: string): NewEntry {
  return {
    kind,
    shape: '1f0c3a7e',
    version: version as Version | undefined,
    snapshot: version === undefined ? snapshotFrom(1) : undefined,
    freshMs: 10_000,
    loadMs: 10,
    epoch: '00000000',
    payload: Buffer.from(text),
  }
}

/** The payload of stored bytes, or null where nothing is stored. */
export function payloadOf(bytes: StoredBytes | null): string | null {
  if (bytes === null) return null
  const entry = envelope.open(bytes)
  return 'unreadable' in entry ? `unreadable: ${entry.unreadable}` : Buffer.from(entry.payload).toString()
}

/** The fill time in stored bytes. */
export function filledAtMs(bytes: StoredBytes): number {
  const { at, width } = WIRE.filledAt
  return Number(Buffer.from(bytes).toString('latin1', at, at + width))
}

type Loaded = Partial<Omit<FillRequest, 'key' | 'token'>> & { kind?: EntryKind; text?: string; version?: Version }

/** One key of a store, asked one thing at a time: says in a word what the requests of the port say in ten. */
export class KeyLab {
  readonly key: CacheKey
  readonly #test: StoreUnderTest
  #tokens = 0

  constructor(test: StoreUnderTest) {
    this.#test = test
    this.key = test.newKey()
  }

  async read(): Promise<StoredBytes | null> {
    return (await this.#test.store.read([this.key]))[0] as StoredBytes | null
  }

  async text(): Promise<string | null> {
    return payloadOf(await this.read())
  }

  async lease(token: string, options: Partial<LeaseRequest> = {}): Promise<LeaseReply> {
    const request = { key: this.key, token, leaseMs: 5_000, seen: null, waitedFor: null, ...options }
    return (await this.#test.store.lease([request]))[0] as LeaseReply
  }

  /** Leases with what is there now as seen. */
  async leaseOver(token: string, options: Partial<LeaseRequest> = {}): Promise<LeaseReply> {
    return this.lease(token, { seen: await this.read(), ...options })
  }

  async fill(token: string, version: string | undefined, loaded: Loaded = {}): Promise<FillOutcome> {
    const { kind = version === undefined ? 'absent' : 'row', text = `v${version}`, ...options } = loaded
    const request: FillRequest = {
      key: this.key,
      token,
      sealed: envelope.seal(newEntry(kind, version, kind === 'absent' ? '' : text)),
      version: version as Version | undefined,
      snapshot: snapshotFrom(1),
      loadedFrom: 'primary',
      keepMs: 10_000,
      replacesNewer: false,
      ...options,
    }
    return (await this.#test.store.fill([request]))[0] as FillOutcome
  }

  /** Leases over whatever is there and fills: the whole of a fill. */
  async put(version: string | undefined, loaded: Loaded = {}): Promise<FillOutcome> {
    const token = `put-${++this.#tokens}`
    const reply = await this.leaseOver(token)
    return reply.outcome === 'leased' ? this.fill(token, version, loaded) : Promise.reject(new Error(reply.outcome))
  }

  async fence(version: string | null, options: Partial<FenceRequest> = {}): Promise<FenceOutcome> {
    const request: FenceRequest = {
      key: this.key,
      version: version as Version | null,
      xid: null,
      keepMs: 10_000,
      rememberAlways: false,
      replacement: null,
      ...options,
    }
    return (await this.#test.store.fence([request]))[0] as FenceOutcome
  }

  async release(token: string, failure: string | null = null): Promise<void> {
    await this.#test.store.release([{ key: this.key, token, failure }])
  }

  pass(ms: number): Promise<void> {
    return this.#test.pass(ms)
  }

  evictEntry(): Promise<void> {
    return this.#test.evictEntry(this.key)
  }

  evictGuard(): Promise<void> {
    return this.#test.evictGuard(this.key)
  }
}
