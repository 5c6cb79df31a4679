import { Buffer } from 'node:buffer'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../../core/clock.js'
import type { CacheKey } from '../../core/key.js'
import type {
  CacheStore,
  FenceOutcome,
  FenceRequest,
  FillOutcome,
  FillRequest,
  LeaseReply,
  LeaseRequest,
  MarkRequest,
  ReleaseRequest,
  SealedEntry,
  StoredBytes,
  StoredState,
} from '../../core/ports.js'
import { LEASE_KEEP_MS } from '../../core/ports.js'
import { compareVersions, VERSION_DIGITS } from '../../core/version.js'
import { SEEN_BYTES, WIRE } from '../../core/wire.js'
import { MemoryShards } from './memory-shards.js'

interface Held {
  readonly bytes: StoredBytes
  readonly expiresAtMs: number
}

/** The twin of the guard hash that adapters/redis/scripts.ts describes. */
interface Guard {
  fence: string | undefined
  xids: string[]
  lostXid: string | undefined
  /** The highest transaction of a fence without a version; more than any when not even that was known. */
  unordered: string | undefined
  /** When the four above are forgotten; a lease may keep the guard for longer. */
  fencedUntilMs: number
  lease: { readonly token: string; readonly sinceMs: number; readonly untilMs: number } | undefined
  failure: { readonly token: string; readonly code: string } | undefined
  expiresAtMs: number
}

const FAILURE_KEEP_MS = 5_000
const MAX_XIDS = 16

/**
 * `CacheStore` in the memory of this process: the same protocol as `adapters/redis/redis-store`, kept equal by
 * `test/contract/store.contract.ts`, which runs over both. Bounded by bytes; guards are bounded by number, and losing
 * one to that bound is as safe as an eviction in Redis.
 */
export class MemoryStore implements CacheStore {
  readonly shards: MemoryShards
  readonly #clock: Clock
  /** Adds to the monotonic clock what makes it show the time of day: a wall clock that is set back would bring entries back to life. */
  readonly #originMs: number
  readonly #entries: LRUCache<CacheKey, Held>
  readonly #guards: LRUCache<CacheKey, Guard>

  constructor(options: { clock: Clock; maxBytes: number; maxGuards?: number }) {
    this.#clock = options.clock
    this.#originMs = options.clock.wallMs() - options.clock.monotonicMs()
    this.#entries = new LRUCache({
      maxSize: options.maxBytes,
      sizeCalculation: ({ bytes }, key) => bytes.length + key.length,
    })
    this.#guards = new LRUCache({ max: options.maxGuards ?? 100_000 })
    this.shards = new MemoryShards({
      put: (key, text) => this.#entries.set(key, { bytes: Buffer.from(text), expiresAtMs: Number.POSITIVE_INFINITY }),
      get: (key) => {
        const bytes = this.#entry(key)
        return bytes === null ? undefined : Buffer.from(bytes).toString('latin1')
      },
      keys: () => this.#entries.keys(),
    })
  }

  async read(keys: readonly CacheKey[]): Promise<(StoredBytes | null)[]> {
    return keys.map((key) => this.#entry(key))
  }

  async lease(requests: readonly LeaseRequest[]): Promise<LeaseReply[]> {
    return requests.map((request): LeaseReply => {
      const bytes = this.#entry(request.key)
      if (!sameStart(bytes, request.seen)) return { outcome: 'changed', bytes }
      const guard = this.#guard(request.key)
      const { lease, failure } = guard
      if (failure && failure.token === request.waitedFor) return { outcome: 'failed', code: failure.code }
      const now = this.nowMs()
      if (lease && lease.untilMs > now) {
        const { token, sinceMs, untilMs } = lease
        return { outcome: 'held', token, remainingMs: untilMs - now, heldForMs: now - sinceMs }
      }
      guard.lease = { token: request.token, sinceMs: now, untilMs: now + request.leaseMs }
      this.#keep(request.key, guard, Math.max(4 * request.leaseMs, LEASE_KEEP_MS))
      return { outcome: 'leased' }
    })
  }

  async fill(requests: readonly FillRequest[]): Promise<FillOutcome[]> {
    return requests.map((request): FillOutcome => {
      const guard = this.#guard(request.key)
      if (guard.lease?.token !== request.token) return 'lease-lost'
      const isStandby = request.loadedFrom === 'standby'
      // What a standby gave may be refused and the primary asked under the same lease.
      if (!isStandby) endLease(guard)
      forgetOldFence(guard, this.nowMs())
      if (isFenced(guard, request, this.nowMs())) return 'fenced'
      const stored = storedVersion(this.#entry(request.key))
      if (!request.replacesNewer && stored && request.version && compareVersions(stored, request.version) > 0)
        return 'older'
      endLease(guard)
      this.#put(request.key, request.sealed, request.keepMs)
      return 'filled'
    })
  }

  async release(requests: readonly ReleaseRequest[]): Promise<void> {
    for (const { key, token, failure } of requests) {
      const guard = this.#guard(key)
      if (guard.lease?.token !== token) continue
      endLease(guard)
      if (failure === null) continue
      guard.failure = { token, code: failure }
      this.#keep(key, guard, FAILURE_KEEP_MS)
    }
  }

  async fence(requests: readonly FenceRequest[]): Promise<FenceOutcome[]> {
    return requests.map((request): FenceOutcome => {
      const bytes = this.#entry(request.key)
      if (bytes === null && !request.rememberAlways && !this.#hasGuard(request.key)) return 'absent'
      const guard = this.#guard(request.key)
      forgetOldFence(guard, this.nowMs())
      const { version } = request
      if (version !== null && !(guard.fence && compareVersions(guard.fence, version) >= 0)) guard.fence = version
      if (request.xid !== null) rememberXid(guard, request.xid)
      if (version === null && request.rememberAlways) rememberUnordered(guard, request.xid ?? ANY_XID)
      if (version !== null || request.xid !== null || request.rememberAlways) {
        guard.fencedUntilMs = Math.max(guard.fencedUntilMs, this.nowMs() + request.keepMs)
        this.#keep(request.key, guard, request.keepMs)
      }

      const stored = isRow(bytes) ? storedVersion(bytes) : undefined
      if (version !== null && stored && compareVersions(stored, version) >= 0) return 'kept'
      endLease(guard)
      if (request.replacement && version !== null && stored) {
        this.#put(request.key, request.replacement.sealed, request.replacement.keepMs)
        return 'replaced'
      }
      this.#entries.delete(request.key)
      return 'dropped'
    })
  }

  async mark(requests: readonly MarkRequest[]): Promise<string[]> {
    return requests.map(({ key, fresh, keepMs }) => {
      const bytes = this.#entry(key) ?? Buffer.from(fresh, 'latin1')
      const expiresAtMs = Math.max(this.#entries.peek(key)?.expiresAtMs ?? 0, this.nowMs() + keepMs)
      this.#entries.set(key, { bytes, expiresAtMs })
      return Buffer.from(bytes).toString('latin1')
    })
  }

  async inspect(key: CacheKey): Promise<StoredState> {
    const bytes = this.#entry(key)
    const guard = this.#guard(key)
    forgetOldFence(guard, this.nowMs())
    const { fence, lease, failure } = guard
    return {
      bytes,
      remainingMs: bytes && (this.#entries.peek(key) as Held).expiresAtMs - this.nowMs(),
      fence: fence ?? null,
      lease: lease ? { token: lease.token, remainingMs: Math.max(0, lease.untilMs - this.nowMs()) } : null,
      failure: failure?.code ?? null,
    }
  }

  nowMs(): number {
    return this.#clock.monotonicMs() + this.#originMs
  }

  async close(): Promise<void> {
    this.#entries.clear()
    this.#guards.clear()
  }

  #entry(key: CacheKey): StoredBytes | null {
    const held = this.#entries.get(key)
    if (held === undefined) return null
    if (held.expiresAtMs > this.nowMs()) return held.bytes
    this.#entries.delete(key)
    return null
  }

  #put(key: CacheKey, sealed: SealedEntry, keepMs: number): void {
    const filledAt = WIRE.magic + String(Math.floor(this.nowMs())).padStart(WIRE.filledAt.width, '0')
    const bytes = Buffer.concat([Buffer.from(filledAt, 'latin1'), sealed])
    this.#entries.set(key, { bytes, expiresAtMs: this.nowMs() + keepMs })
  }

  #hasGuard(key: CacheKey): boolean {
    const guard = this.#guards.get(key)
    return guard !== undefined && guard.expiresAtMs > this.nowMs() && !isBlank(guard)
  }

  /** The key's guard, or a blank one that only lives on if `#keep` is called. */
  #guard(key: CacheKey): Guard {
    return this.#hasGuard(key) ? (this.#guards.get(key) as Guard) : blankGuard()
  }

  #keep(key: CacheKey, guard: Guard, keepMs: number): void {
    guard.expiresAtMs = Math.max(guard.expiresAtMs, this.nowMs() + keepMs)
    this.#guards.set(key, guard)
  }
}

const NO_FENCE = { fence: undefined, lostXid: undefined, unordered: undefined, fencedUntilMs: 0 }

function blankGuard(): Guard {
  return { ...NO_FENCE, xids: [], lease: undefined, failure: undefined, expiresAtMs: 0 }
}

function endLease(guard: Guard): void {
  guard.lease = undefined
  dropIfBlank(guard)
}

/** Where the scripts do it, and nowhere else: until then a guard that remembers nothing but an old fence is still there. */
function forgetOldFence(guard: Guard, nowMs: number): void {
  if (guard.fencedUntilMs >= nowMs) return
  Object.assign(guard, NO_FENCE, { xids: [] })
  dropIfBlank(guard)
}

/** A Redis hash goes with its last field, and one that comes after it has its own time to live. */
function dropIfBlank(guard: Guard): void {
  if (isBlank(guard)) guard.expiresAtMs = 0
}

function isBlank({ fence, xids, lostXid, unordered, lease, failure }: Guard): boolean {
  return !fence && xids.length === 0 && !lostXid && !unordered && !lease && !failure
}

function isFenced(guard: Guard, request: FillRequest, nowMs: number): boolean {
  const { fence, xids, lostXid, unordered } = guard
  if (request.version && fence !== undefined && compareVersions(request.version, fence) < 0) return true
  if (request.loadedFrom === 'primary') return false
  if (request.untilMs !== undefined && nowMs > request.untilMs) return true
  const xmin = request.snapshot.split(':')[0] as string
  const notSurelyVisible = (xid: string) => compareVersions(xid, xmin) >= 0
  if (unordered !== undefined && notSurelyVisible(unordered)) return true
  if (request.version) return false
  if (fence !== undefined && xids.length === 0 && lostXid === undefined) return true
  return (lostXid !== undefined && notSurelyVisible(lostXid)) || xids.some(notSurelyVisible)
}

function rememberXid(guard: Guard, xid: string): void {
  if (guard.xids.includes(xid)) return
  guard.xids.push(xid)
  if (guard.xids.length <= MAX_XIDS) return
  const lost = guard.xids.shift() as string
  if (guard.lostXid === undefined || compareVersions(guard.lostXid, lost) < 0) guard.lostXid = lost
}

/** Twenty digits: more than any transaction has. */
const ANY_XID = '9'.repeat(VERSION_DIGITS)

function rememberUnordered(guard: Guard, xid: string): void {
  if (guard.unordered === undefined || compareVersions(guard.unordered, xid) < 0) guard.unordered = xid
}

function sameStart(bytes: StoredBytes | null, seen: StoredBytes | null): boolean {
  if (bytes === null || seen === null) return bytes === seen
  return Buffer.compare(bytes.subarray(0, SEEN_BYTES), seen.subarray(0, SEEN_BYTES)) === 0
}

function isRow(bytes: StoredBytes | null): boolean {
  return bytes !== null && bytes[WIRE.kind.at] === 0x72
}

/** The stamp in a stored header without its padding; undefined when there is none. */
function storedVersion(bytes: StoredBytes | null): string | undefined {
  if (bytes === null) return undefined
  const text = Buffer.from(bytes.subarray(WIRE.version.at, WIRE.version.at + VERSION_DIGITS)).toString('latin1')
  return /^\d{20}$/.test(text) ? text.replace(/^0+(?=\d)/, '') : undefined
}
