import type { Entry, NewEntry } from './entry.js'
import type { CacheUnavailableError } from './errors.js'
import type { CacheKey } from './key.js'
import type { Version } from './version.js'

/**
 * Every seam between the protocol and the world. The engine acts only through these, so each can be
 * replaced by the in-process twin, paused at a named point or broken on purpose in a test.
 */

/** An entry's bytes as they lie in the store. Untrusted: read them through `EntryCodec`. */
export type StoredBytes = Uint8Array

/**
 * Where entries and their guards live. Implementations: `adapters/memory/memory-store`, `adapters/redis/redis-store`.
 *
 * All operations take batches, because what one tick asks for travels as one round trip. A batch may fail as a
 * whole (`CacheUnavailableError`), or in part (`PartAnswer`); replies come in the order of the requests.
 */
export interface CacheStore {
  read(keys: readonly CacheKey[]): Promise<(StoredBytes | null)[]>
  lease(requests: readonly LeaseRequest[]): Promise<LeaseReply[]>
  fill(requests: readonly FillRequest[]): Promise<FillOutcome[]>
  /** Gives a lease back without filling. A lease that is no longer ours is left alone. */
  release(requests: readonly ReleaseRequest[]): Promise<void>
  fence(requests: readonly FenceRequest[]): Promise<FenceOutcome[]>
  /** See `FenceSink`. */
  readonly resends?: number
  /**
   * The mark under each key; where there is none, `fresh` becomes it. A mark stands for a state of a table: `fence` removes it,
   * so that a result which was read under it can never be taken for current again. Losing one is a miss.
   */
  mark(requests: readonly MarkRequest[]): Promise<string[]>
  /** Everything that is held under one key, for a person to look at. */
  inspect(key: CacheKey): Promise<StoredState>
  /** The parts that can fail, be replaced and forget on their own. */
  readonly shards: StoreShards
  /** The store's own clock, as well as this process knows it, and rather too late than too early: milliseconds since the Unix epoch. */
  nowMs(): number
  /** Calls `listener` whenever a connection was made: what has failed before may succeed from then on. Left out: there are no connections. */
  onConnected?(listener: () => void): void
  /** Releases what the store itself opened; never a client it was given. */
  close(): Promise<void>
}

/** The reply to one request among several, or what became of it where its shard does not answer. */
export type PartReply<Reply> = Reply | CacheUnavailableError

/** A store that reports on each fence on its own. Rejects when none has arrived. */
export interface FenceSink {
  fence(requests: readonly FenceRequest[]): Promise<readonly PartReply<FenceOutcome>[]>
  /** How often fences had to be sent again before they were carried out: after what had been sent behind them. Left out: never. */
  readonly resends?: number
}

/**
 * How long a store remembers a lease at least, so that a holder who is late but was not replaced can still fill. A fill or a release
 * forgets it at once; only a holder that died leaves it behind for so long.
 */
export const LEASE_KEEP_MS = 30_000

export interface LeaseRequest {
  readonly key: CacheKey
  readonly token: string
  /** How long others wait before they may take the lease over. It is revoked by a fence or by a taker, never by time. */
  readonly leaseMs: number
  /**
   * The entry the caller saw and wants to replace (its first bytes decide), or null when it saw none.
   * If the store holds anything else by now, nothing is leased and the caller gets that to judge.
   */
  readonly seen: StoredBytes | null
  /** A failure of this token's load, if the caller is waiting for it, is reported as `failed`. */
  readonly waitedFor: string | null
}

export type LeaseReply =
  | { readonly outcome: 'leased' }
  /** Somebody else fills, since `heldForMs`. `token` names that fill; `remainingMs` is what is left of its lease. */
  | { readonly outcome: 'held'; readonly token: string; readonly remainingMs: number; readonly heldForMs: number }
  /** What the caller saw is no longer there; `bytes` is (null: nothing). */
  | { readonly outcome: 'changed'; readonly bytes: StoredBytes | null }
  /** The load this caller was waiting for has failed with this code. */
  | { readonly outcome: 'failed'; readonly code: string }

export interface FillRequest {
  readonly key: CacheKey
  readonly token: string
  /** Header and payload as the codec sealed them; the store adds the fill time. */
  readonly sealed: SealedEntry
  readonly version: Version | undefined
  /** `pg_current_snapshot()` of the load: `xmin:xmax:xip,…`. */
  readonly snapshot: string
  /**
   * `primary`: the load began after the lease was granted and saw every committed write. `standby`: it may lag; refused, it keeps
   * its lease, so that the primary can be asked under it.
   */
  readonly loadedFrom: 'primary' | 'standby'
  /** From a standby: the time on the store's clock after which a fence may have been forgotten that this load did not see. */
  readonly untilMs?: number
  /** How long the store keeps the entry, grace included. */
  readonly keepMs: number
  /** What was seen was of no use (corrupt, another epoch or shape), so its version need not be respected. */
  readonly replacesNewer: boolean
}

/** `filled`, or why not: the lease is no longer ours, a fence asks for more, or what is stored is newer. */
export type FillOutcome = 'filled' | 'lease-lost' | 'fenced' | 'older'

export interface MarkRequest {
  readonly key: CacheKey
  /** Unique across the fleet and over time. */
  readonly fresh: string
  readonly keepMs: number
}

export interface StoredState {
  readonly bytes: StoredBytes | null
  /** What is left of the entry's life in the store; null when there is none. */
  readonly remainingMs: number | null
  readonly fence: string | null
  readonly lease: { readonly token: string; readonly remainingMs: number } | null
  readonly failure: string | null
}

export interface ReleaseRequest {
  readonly key: CacheKey
  readonly token: string
  /** Why the load failed, for those who wait for it in other processes: an error code, never a message. */
  readonly failure: string | null
}

export interface FenceRequest {
  readonly key: CacheKey
  /** Entries older than this are dropped and may not be filled again. Null: unknown, so whatever is there is dropped. */
  readonly version: Version | null
  /** The writing transaction, where a version cannot order things (absences, queries, tables without a stamp). */
  readonly xid: string | null
  /** How long the fence is remembered. */
  readonly keepMs: number
  /** Remember the fence even when neither entry nor guard exists. Needed where fills may read a lagging standby. */
  readonly rememberAlways: boolean
  /** The row as written: put in place of an older entry, never where there is none. Null: only drop. */
  readonly replacement: { readonly sealed: SealedEntry; readonly keepMs: number } | null
}

/**
 * The shards of a store: one on a single server, one for each primary of a cluster. Each has a tick, which the relay leaves behind its
 * fences. Calls may reject; deadlines are the caller's.
 */
export interface StoreShards {
  /** Their names now. Called very often: return the same array while nothing changes. @throws CacheUnavailableError while they are not known. */
  list(): readonly string[]
  /** The shard that holds a key now. */
  of(key: CacheKey): string
  /** Where a shard's tick lies: on the shard itself. So a read of it and, after it in the same batch, of the shard's keys sees the tick no later than the keys. */
  tickKey(shard: string): CacheKey
  look(shard: string): Promise<ShardState>
  /** Writes a tick unless the shard is on another server by now, and says what it is on and holds then. */
  tick(shard: string, text: string, server: string): Promise<ShardState>
  /** From which shards keys have moved to which since the last call, on whatever ways. The first call tells of nothing: from then on it is noted. */
  takeMoves(): readonly ShardMove[]
  /**
   * Keys of entries and marks that a shard holds, without guards, a page at a time. A key that is there all the while is told at least
   * once if the shard stays on its server; one that comes or goes may be told or not, and any may be told twice.
   *
   * @param cursor null: from the beginning. Any number: from somewhere.
   * @param count about how many keys are gone through, whosever they are.
   */
  scan(shard: string, cursor: string | null, count: number): Promise<KeyPage>
}

export interface KeyPage {
  readonly keys: readonly CacheKey[]
  /** Null: that was the end. */
  readonly next: string | null
}

export interface ShardState {
  /**
   * Identifies the server. It changes when another process serves the shard, or when a server becomes primary. Only then may the shard have
   * lost what it acknowledged.
   */
  readonly server: string
  /** False: this user may not ask. `server` then only stands for this process' connection. */
  readonly isKnown: boolean
  readonly tick: string | undefined
}

export interface ShardMove {
  /** Empty: from one that is none any more, or nobody knows from which. */
  readonly from: string
  readonly to: string
}

/** `dropped`: something older was removed or a fill revoked. `kept`: what is stored is new enough. `replaced`: the new row took its place. `absent`: nothing was there. */
export type FenceOutcome = 'dropped' | 'kept' | 'replaced' | 'absent'

/** Header (without the fill time) and payload of an entry; opaque to the engine. */
export type SealedEntry = Uint8Array

/** Entry to bytes and back. Implementation: `adapters/codec/envelope`. */
export interface EntryCodec {
  /** Largest payload that is sealed or opened. */
  readonly maxEntryBytes: number
  /** @param key under which the bytes are going to lie: an encrypted entry opens under no other. */
  seal(entry: NewEntry, key: CacheKey): SealedEntry
  /**
   * Never throws: bytes that are corrupt, foreign or of an unknown format give a reason.
   *
   * @param key under which they were found, which of a copy is the copy's own.
   */
  open(bytes: StoredBytes, key: CacheKey): Entry | Unreadable
}

export interface Unreadable {
  readonly unreadable: UnreadableReason
}

/**
 * `foreign`: not ours. `format`: by a release that knows more. `corrupt`: damaged. `oversized`: larger than `codec.maxEntryBytes`, or would
 * be. `unknown-key`: encrypted with a key this process has not got. `forged`: encrypted, and changed or moved since. `unencrypted`: in
 * the clear, where that is refused.
 */
export type UnreadableReason = 'foreign' | 'format' | 'corrupt' | 'oversized' | 'unknown-key' | 'forged' | 'unencrypted'

/** One canonical id: the text form of each key column, as Postgres would print it. */
export type CanonicalId = readonly string[]

/** What one statement saw for one id. `row` is undefined when no row has the key. */
export interface LoadedRow {
  readonly row: object | undefined
  readonly version: Version | undefined
}

export interface Loaded {
  /** One for each id, in order. */
  readonly rows: readonly LoadedRow[]
  /** `pg_current_snapshot()` of the statement that read the rows. */
  readonly snapshot: string
  readonly loadedFrom: 'primary' | 'standby'
}

/** Rows of one table by key or by one unique column list. Implementation: `adapters/postgres/row-source`. */
export interface RowSource {
  /** One statement for all ids; its snapshot covers every row and absence it reports. */
  load(ids: readonly CanonicalId[]): Promise<Loaded>
}

/** One change of one row, whoever made it; or word that more has changed than is told one by one. */
export type SourceChange =
  | {
      readonly kind: 'row'
      readonly entity: string
      readonly id: CanonicalId
      readonly xid: string
      /** The row's stamp; of a row that is gone, the least one that comes back may have. Null: the table has none. */
      readonly version: Version | null
      /** No row has this id any more. */
      readonly absent: boolean
      /** Values of unique columns that now lead elsewhere than before: real column names, joined by commas. */
      readonly lookups: readonly { readonly columns: string; readonly value: CanonicalId }[]
      /** The columns that queries are told apart by, with the values the row has and had in them. Null: it is NULL there. */
      readonly values: readonly { readonly column: string; readonly value: string | null }[]
    }
  /** `truncate`: the table was emptied. `bulk`: one statement changed too many rows to list them. */
  | { readonly kind: 'truncate' | 'bulk'; readonly entity: string }

export interface ChangePage {
  readonly changes: readonly SourceChange[]
  /** More is there already. Positions can only be settled where this is false. */
  readonly hasMore: boolean
  /** Changes may be missing: this is another history than the one that was read before. */
  readonly isGap: boolean
  /** Age of the oldest change when it was read, 0 without one. Milliseconds, by the database's clock. */
  readonly lagMs: number
}

/** What a table is to queries that depend on it. */
export interface ChangedTable {
  /** The roots of its partition or inheritance tree. */
  readonly roots: readonly string[]
  /** Key type of each column asked about; undefined where it has none. */
  readonly types: ReadonlyMap<string, string | undefined>
}

/**
 * Every committed change of the tables under watch, at least once, in no order that means anything. Implementations:
 * `adapters/postgres/outbox-source`, `adapters/postgres/slot-source`. Every call may reject with `SourceError`; then this source is of no more use.
 */
export interface ChangeSource extends ChangeReader {
  /** All pages so far have done their work and need not come again, to anyone. */
  settle(): Promise<void>
  /** All changes again from `windowMs` before what was settled last up to now, beside this source, which goes on where it is. */
  replay(windowMs: number): Promise<ChangeReader>
  /** Lets go of what is older than `keepMs` and settled. */
  prune(keepMs: number): Promise<void>
  describe(entity: string, columns: readonly string[]): Promise<ChangedTable>
  /** The number of the namespace's epoch, after raising it to at least `least`; and beyond any that ever was, if this is another database. */
  epoch(least: number): Promise<number>
  /** Called each second while its reader is at work, also while that waits for the cache. Left out: there is nothing to look after. */
  tend?(): Promise<void>
  /** Calls `act` when there may be something to read, until the function it returns is called. Left out: only a look can tell. */
  listen?(act: () => void): () => void
}

export interface ChangeReader {
  /** What has become visible since the last page, a bounded number. */
  read(): Promise<ChangePage>
}

/** Lets one process at a time work. Implementations: `adapters/postgres/outbox-feed`, `adapters/postgres/slot-feed`. */
export interface ChangeFeed {
  /**
   * Runs `work` unless somebody else in the fleet is at it. False: somebody is. Rejects with what `work` or the database threw.
   * Nobody else is let in before `work` has ended, or this process' connection to the database has.
   */
  lead(work: (source: ChangeSource) => Promise<void>): Promise<boolean>
}

/**
 * A broadcast channel between the processes of a namespace: at most once, in order per publisher, and with no word about what
 * was lost. The bus on top of it finds that out. Implementation: `adapters/redis/redis-channel`.
 */
export interface Channel {
  /**
   * What is published is heard after everything has been carried out that the store was asked for before, answered or not, but for what it
   * had to send again (`FenceSink.resends`); if that was lost, so is the message. False: the two go different ways.
   */
  readonly keepsOrder: boolean
  /** Rejects when the message certainly or possibly did not leave. */
  publish(message: string): Promise<void>
  /** Subscribes, and again after every interruption. */
  open(listener: ChannelListener): void
  /** Replaces every connection, whatever its state: one that is half open reports nothing. Ends in `onUp` as soon as it can. */
  renew(): void
  close(): Promise<void>
}

export interface ChannelListener {
  onMessage(message: string): void
  /** Subscribed from now on; whatever was published before may have been missed. */
  onUp(): void
  /** Not subscribed any more, or the topology under the subscription has changed. */
  onDown(): void
}
