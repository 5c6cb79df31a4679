import type { Buffer } from 'node:buffer'
import type { Clock } from '../../core/clock.js'
import { type CacheKey, guardKey } from '../../core/key.js'
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
  StoredBytes,
  StoredState,
} from '../../core/ports.js'
import { VERSION_DIGITS } from '../../core/version.js'
import { SEEN_BYTES } from '../../core/wire.js'
import { ClusterReads } from './cluster-reads.js'
import {
  leavingReplica,
  openConnection,
  type RedisClient,
  type RedisConnection,
  whenConnected,
  whenReady,
} from './connection.js'
import { FenceScript } from './fence-script.js'
import { allOf, isRedirection, partsOf } from './moving-slots.js'
import { RedisShards } from './redis-shards.js'
import { FENCE_OUTCOMES, SCRIPTS, type ScriptName, TIME_DIGITS } from './scripts.js'
import { millisecondsOf, StoreTime } from './store-time.js'

/** How long the failure of a load stays readable for those who wait for it. */
const FAILURE_KEEP_MS = 5_000
/** A cluster is ready once; its nodes come and go. */
const CONNECTED = ['ready', '+node']
const NOTHING = ''
/** Keys that one script fences at most: for so long nobody else is served, some tenths of a millisecond. */
const MAX_FENCES = 16

/** `CacheStore` in Redis, standalone or cluster. Every operation either runs now or rejects; deadlines are the caller's. */
export class RedisStore implements CacheStore {
  readonly shards: RedisShards
  readonly #clock: Clock
  readonly #connection: RedisConnection
  readonly #run: ScriptRunner
  readonly #fences: FenceScript
  readonly #time: StoreTime
  readonly #reads: ClusterReads

  constructor(options: { client: RedisClient; namespace: string; clock: Clock }) {
    this.#clock = options.clock
    const { client, namespace } = options
    // A node of a cluster says MOVED, and its connection follows.
    this.#connection = openConnection(client, `corral:${namespace}`, client.isCluster ? {} : leavingReplica())
    for (const [name, script] of Object.entries(SCRIPTS)) this.#connection.defineCommand(name, script)
    this.#run = this.#connection as unknown as ScriptRunner
    this.#fences = new FenceScript(this.#connection)
    this.#time = new StoreTime(options.clock)
    this.#reads = new ClusterReads({ connection: this.#connection, time: this.#time, clock: options.clock })
    this.shards = new RedisShards({ connection: this.#connection, namespace: options.namespace })
    // A plain GET does not tell the time, and a host's own clock may be far off: ask before the first entry is judged.
    this.#connection.on('ready', () => void this.#askTime())
    for (const event of CONNECTED) this.#connection.on(event, () => this.#time.outdate())
  }

  /** For what must travel the same way as the fences. */
  get connection(): RedisConnection {
    return this.#connection
  }

  async read(keys: readonly CacheKey[]): Promise<(StoredBytes | null)[]> {
    await whenConnected(this.#connection)
    if (!this.#connection.isCluster) return this.#connection.mgetBuffer(keys)
    return this.#reads.read(keys)
  }

  lease(requests: readonly LeaseRequest[]): Promise<LeaseReply[]> {
    return this.#each('lease', requests, async (request) => {
      const seen = request.seen === null ? NOTHING : request.seen.subarray(0, SEEN_BYTES)
      const [outcome, first, second, third] = await this.#script('corralLease', pair(request.key), [
        request.token,
        Math.ceil(request.leaseMs),
        seen,
        request.waitedFor ?? '',
      ])
      switch (outcome) {
        case 'leased':
          return { outcome }
        case 'changed':
          return { outcome, bytes: first ?? null }
        case 'failed':
          return { outcome, code: String(first) }
        default:
          return { outcome: 'held', token: String(first), remainingMs: Number(second), heldForMs: Number(third) }
      }
    })
  }

  fill(requests: readonly FillRequest[]): Promise<FillOutcome[]> {
    return this.#each('fill', requests, async (request) => {
      const [outcome] = await this.#script('corralFill', pair(request.key), [
        request.token,
        request.sealed,
        padded(request.version),
        Math.ceil(request.keepMs),
        request.loadedFrom === 'standby' ? '1' : '0',
        padded(request.snapshot.split(':')[0]),
        request.replacesNewer ? '1' : '0',
        // Reckoned from the latest that the store's clock might show, it has to hold by the earliest.
        request.untilMs === undefined ? '' : Math.floor(request.untilMs - this.#time.spreadMs),
      ])
      return outcome as FillOutcome
    })
  }

  async release(requests: readonly ReleaseRequest[]): Promise<void> {
    await this.#each('release', requests, ({ key, token, failure }) =>
      this.#script('corralRelease', [guardKey(key)], [token, failure ?? '', FAILURE_KEEP_MS]),
    )
  }

  async fence(requests: readonly FenceRequest[]): Promise<FenceOutcome[]> {
    await whenReady(this.#connection)
    if (this.#connection.isCluster) {
      const replies = requests.map((request) => this.#fenceInSlot(request))
      return this.#allOf('fence', replies)
    }
    // Sent before anything is waited for: whatever is published next comes after them.
    const parts: Promise<FenceOutcome[]>[] = []
    for (let at = 0; at < requests.length; at += MAX_FENCES)
      parts.push(this.#fence(requests.slice(at, at + MAX_FENCES)))
    return parts.length === 1 ? (parts[0] as Promise<FenceOutcome[]>) : (await Promise.all(parts)).flat()
  }

  onConnected(listener: () => void): void {
    for (const event of CONNECTED) this.#connection.on(event, listener)
  }

  get resends(): number {
    return this.#fences.resends
  }

  mark(requests: readonly MarkRequest[]): Promise<string[]> {
    return this.#each('mark', requests, async ({ key, fresh, keepMs }) => {
      const [mark] = await this.#script('corralMark', [key], [fresh, Math.ceil(keepMs)])
      return mark
    })
  }

  async inspect(key: CacheKey): Promise<StoredState> {
    await whenReady(this.#connection)
    const [reply] = await this.#allOf('inspect', [this.#run.corralInspectBuffer(...pair(key))])
    const [bytes, now, remaining, fence, token, until, failure] = reply as [Buffer, ...Buffer[]]
    const text = (part: Buffer | undefined) => String(part ?? '') || null
    const remainingMs = Number(remaining)
    return {
      bytes: bytes.length === 0 ? null : bytes,
      remainingMs: remainingMs < 0 ? null : remainingMs,
      fence: text(fence)?.replace(/^0+(?=.)/, '') ?? null,
      lease:
        text(token) === null ? null : { token: String(token), remainingMs: Math.max(0, Number(until) - Number(now)) },
      failure: text(failure),
    }
  }

  nowMs(): number {
    return this.#time.nowMs()
  }

  async close(): Promise<void> {
    this.#connection.disconnect()
  }

  async #askTime(): Promise<void> {
    const sentAtMs = this.#clock.monotonicMs()
    // Any node will do; a connection that breaks meanwhile asks again when it is ready.
    const time = await this.#connection.time().catch(() => undefined)
    if (time) this.#time.observe(millisecondsOf(time), sentAtMs)
  }

  async #each<Request, Reply>(
    operation: string,
    requests: readonly Request[],
    act: (request: Request) => Promise<Reply>,
  ): Promise<Reply[]> {
    await whenConnected(this.#connection)
    return this.#allOf(operation, requests.map(act))
  }

  /** @throws PartAnswer when a cluster does not serve some of the keys now. */
  async #allOf<Reply>(operation: string, replies: readonly Promise<Reply>[]): Promise<Reply[]> {
    return this.#connection.isCluster ? allOf(await partsOf(operation, replies)) : Promise.all(replies)
  }

  /** Across slots a script is refused, so each fence travels alone. */
  async #fenceInSlot(request: FenceRequest): Promise<FenceOutcome> {
    try {
      return (await this.#fence([request]))[0] as FenceOutcome
    } catch (error) {
      if (!isRedirection(error)) throw error
      return this.#fenceApart(request)
    }
  }

  /**
   * A fence in two steps, for an entry and a guard that lie on two nodes for now. Both the entry and the lease go, whatever their versions: that is always
   * safe. The guard comes first. Once the lease is revoked, nothing loaded before the write can land; what landed earlier is in the entry, which goes next.
   */
  async #fenceApart({ key, version, xid, keepMs, rememberAlways }: FenceRequest): Promise<FenceOutcome> {
    const values = [padded(version), padded(xid), Math.ceil(keepMs), rememberAlways ? '1' : '0']
    const [outcome] = await this.#script('corralFenceGuard', [guardKey(key)], values)
    const deleted = await this.#connection.del(key)
    return deleted > 0 ? 'dropped' : (outcome as FenceOutcome)
  }

  async #fence(requests: readonly FenceRequest[]): Promise<FenceOutcome[]> {
    const keys: string[] = []
    const values: ScriptValue[] = []
    for (const { key, version, xid, keepMs, rememberAlways, replacement } of requests) {
      keys.push(key, guardKey(key))
      values.push(padded(version), padded(xid), Math.ceil(keepMs), rememberAlways ? '1' : '0')
      values.push(replacement?.sealed ?? '', replacement ? Math.ceil(replacement.keepMs) : '')
    }
    const sentAtMs = this.#clock.monotonicMs()
    const reply = await this.#fences.run(keys, values)
    this.#time.observe(Number(reply.slice(0, TIME_DIGITS)), sentAtMs)
    return requests.map((_, at) => FENCE_OUTCOMES[reply[TIME_DIGITS + at] as string] as FenceOutcome)
  }

  /** @param keys as many as the script has. */
  async #script(
    name: ScriptName,
    keys: readonly string[],
    values: readonly ScriptValue[],
  ): Promise<[string, ...Buffer[]]> {
    const sentAtMs = this.#clock.monotonicMs()
    const [outcome, now, ...rest] = await this.#run[`${name}Buffer`](...keys, ...values)
    this.#time.observe(Number(now), sentAtMs)
    return [String(outcome), ...rest]
  }
}

type ScriptValue = string | number | Uint8Array
type ScriptRunner = Record<`${ScriptName}Buffer`, (...values: ScriptValue[]) => Promise<Buffer[]>>

function pair(key: CacheKey): [entry: string, guard: string] {
  return [key, guardKey(key)]
}

function padded(digits: string | null | undefined): string {
  return digits ? digits.padStart(VERSION_DIGITS, '0') : ''
}
