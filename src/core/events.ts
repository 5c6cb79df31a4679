import type { CacheKey } from './key.js'

/**
 * Why a held entry did not answer a read. `nothing`: there was none. `outdated`: a table it depends on was written. `unproven`: the read has a
 * `maxStaleMs`, and nothing proves that the entry is as new as that.
 */
export type MissReason =
  | 'nothing'
  | 'expired'
  | 'other-shape'
  | 'other-epoch'
  | 'below-floor'
  | 'outdated'
  | 'unreadable'
  | 'unavailable'
  | 'unproven'

/**
 * Everything Corral reports. One closed union feeds logs, telemetry and tests, so that what is tested is what is seen.
 * Keys appear where an operator needs them to act; values never do.
 */
export type CorralEvent =
  | { readonly type: 'started'; readonly store: 'redis' | 'in-process' }
  | {
      readonly type: 'hit'
      readonly entity: string
      /** `copy`: one of a hot key's copies in Redis. */
      readonly tier: 'l1' | 'l2' | 'copy'
      readonly verdict: 'fresh' | 'early' | 'stale'
    }
  | { readonly type: 'miss'; readonly entity: string; readonly reason: MissReason }
  /** A reader joined a fill of this process (`process`) or waited for another's (`fleet`). */
  | {
      readonly type: 'coalesced'
      readonly entity: string
      readonly scope: 'process' | 'fleet'
      readonly waitedMs: number
    }
  | {
      readonly type: 'load'
      readonly entity: string
      readonly ids: number
      readonly durationMs: number
      /** Where from; not said of the primary. */
      readonly from?: 'replica'
      readonly error?: unknown
    }
  /**
   * What a replica said was not used, and the primary was asked. `behind`: it has not replayed enough. `floor`, `fenced`: its row
   * is older than this process has shown or written, or than a write the cache was told of. `failed`: no answer in time.
   */
  | {
      readonly type: 'replica.skipped'
      readonly entity: string
      readonly reason: 'behind' | 'floor' | 'fenced' | 'failed'
      readonly error?: unknown
    }
  /** A load over `db` was answered by a server in recovery: a primary that was demoted. Nothing of it is stored. */
  | { readonly type: 'primary.recovering'; readonly entity: string }
  | {
      readonly type: 'fill'
      readonly entity: string
      readonly key: CacheKey
      /** `copy`: a copy of a hot key's entry was made of that entry. `warm`: ahead of any reader. `rebuild`: in place of an older one, by `corral.rebuild`. */
      readonly reason: 'miss' | 'refresh' | 'copy' | 'warm' | 'rebuild'
      readonly outcome: 'filled' | 'lease-lost' | 'fenced' | 'older' | 'uncacheable' | 'unavailable'
    }
  /**
   * Bytes under one of our keys that we did not write, or not like this. Treated as a miss. `foreign`: not ours. `format`: by a release that
   * knows more. `corrupt`, `payload`: damaged. `oversized`: beyond `codec.maxEntryBytes`. `unknown-key`: encrypted with a key this process has
   * not got. `forged`: encrypted, and changed or moved since. `unencrypted`: in the clear, where `encryption` refuses that.
   */
  | {
      readonly type: 'entry.unreadable'
      readonly entity: string
      readonly key: CacheKey
      readonly reason:
        | 'foreign'
        | 'format'
        | 'corrupt'
        | 'payload'
        | 'oversized'
        | 'unknown-key'
        | 'forged'
        | 'unencrypted'
    }
  /** A row holds a value the codec cannot bring back unchanged, so it is read from the database every time. */
  | { readonly type: 'entry.uncacheable'; readonly entity: string; readonly property: string; readonly found: string }
  /** A row or result is larger than `codec.maxEntryBytes`: it is served, not stored, and read from the database every time. */
  | {
      readonly type: 'entry.oversized'
      readonly entity: string
      readonly key: CacheKey
      readonly sizeBytes: number
      readonly maxBytes: number
    }
  /**
   * A committed write changed something that the SDK could not follow. Either it was raw SQL (`statement`); or it changed rows of `entity` without telling
   * which: along a foreign key that cascades, or in a stamped table that has no repository in this process and no relay. Their entries stay until they
   * expire or the outbox tells of the change. See `tx.touched`.
   */
  | { readonly type: 'write.unseen'; readonly statement: string; readonly entity: string | undefined }
  /** `ttl.freshMs` as a function of the row gave something of no use; `freshMs` is what the row got instead. */
  | {
      readonly type: 'ttl.refused'
      readonly entity: string
      readonly reason: 'no-number' | 'out-of-range' | 'threw'
      readonly freshMs: number
    }
  /** The table's columns are not what they were; its catalog is read again. */
  | { readonly type: 'shape.changed'; readonly entity: string }
  /** The database holds an older version than this process has seen: restored, failed over, or stamped by other means. */
  | { readonly type: 'floor.reset'; readonly entity: string; readonly key: CacheKey }
  /** What follows a commit: `keys` were fenced, and in `replaced` of them the new row took an older one's place (`onWrite: 'publish'`). */
  | {
      readonly type: 'fence'
      readonly outcome: 'fenced' | 'pending'
      readonly keys: number
      readonly replaced: number
      readonly durationMs: number
    }
  /** Pending fences were delivered after all, or given up: too many are pending, or the process ends and the cache does not answer. */
  | { readonly type: 'fence.settled'; readonly keys: number; readonly outcome: 'fenced' | 'dropped' }
  /** Of one shard: `redis` on a single server, `host:port` of a primary in a cluster. One that leaves the cluster is forgotten without an event. */
  | { readonly type: 'breaker'; readonly shard: string; readonly state: 'closed' | 'open' | 'half-open' }
  /**
   * A shard answers again after its breaker was open, or others took its place. `awaits-relay`: what it holds is not used until the relay has passed the outage,
   * because processes may have died during it with fences they had not sent. `passed`: the relay has. `no-relay`: no relay is at work, so nobody can tell.
   */
  | { readonly type: 'outage'; readonly shard: string; readonly state: 'awaits-relay' | 'passed' | 'no-relay' }
  | { readonly type: 'cache.unavailable'; readonly operation: string; readonly error: unknown }
  /**
   * The near tier was emptied because something may have been missed. `silent`: a process has stopped talking without taking leave. `unheard`: once,
   * `bus.trustMs` after each subscription, because a process may have ended that was not heard since.
   */
  | {
      readonly type: 'bus.flush'
      readonly reason: 'gap' | 'silent' | 'unheard' | 'subscribed' | 'interrupted' | 'unknown-format'
    }
  /** A message that is malformed, forged or replayed; it changed nothing. */
  | { readonly type: 'bus.refused'; readonly reason: 'malformed' | 'forged' | 'replayed' }
  /** A message could not be published; the others will notice the gap. */
  | { readonly type: 'bus.unsent'; readonly changes: number }
  /** This process began or ended to relay for its namespace. */
  | { readonly type: 'relay.leader'; readonly state: 'gained' | 'lost' }
  /** Changes were carried to the cache: `lagMs` after the oldest of them was written, by the database's clock. */
  | {
      readonly type: 'relay.batch'
      readonly changes: number
      readonly keys: number
      readonly lagMs: number
      readonly durationMs: number
    }
  /** Cached rows were compared with the database; `differing` had another version, or were only in one of the two. */
  | { readonly type: 'compared'; readonly entity: string; readonly rows: number; readonly differing: number }
  /**
   * `corral.audit` has found a copy that differed from its row at two looks: see `Drift` for `kind` and `place`. `ageMs`: how long it has
   * at most; undefined where nobody can say. `repair`: what became of its fence.
   */
  | {
      readonly type: 'drift.found'
      readonly entity: string
      readonly key: CacheKey
      readonly kind: 'behind' | 'ahead' | 'gone' | 'hidden' | 'differs'
      readonly place: 'redis' | 'copy' | 'memory'
      readonly ageMs: number | undefined
      readonly repair: 'none' | 'fenced' | 'pending'
    }
  /**
   * Each second of the one that leads. `pending`: changes it has in hand, the oldest of them `lagMs` old; zero when it has caught up. `replaying`:
   * shards that get the last minutes again. `away`: shards that do not answer and have been left behind.
   */
  | {
      readonly type: 'relay.beat'
      readonly pending: number
      readonly lagMs: number
      readonly replaying: number
      readonly away: number
    }
  /**
   * `current`: this shard of the cache has every fence, and reads with `maxStaleMs` may use it. `replaying`: it may have lost some (a replica
   * was made primary, a server restarted, or it was away), and gets those of the last minutes again. `away`: it does not answer.
   */
  | { readonly type: 'relay.shard'; readonly shard: string; readonly standing: 'current' | 'replaying' | 'away' }
  /** Shards that may have lost fences have got those of `relay.replayMs` again. */
  | { readonly type: 'relay.replayed'; readonly keys: number; readonly durationMs: number }
  /**
   * Each second of a leader that reads a replication slot, and when it has made one. `retainedBytes` of the server's log are kept for it;
   * `safeBytes` more and it is given up, null: never. `unreserved`: about to be. `lost`, `missing`: it has to be made anew, and the epoch is raised.
   */
  | {
      readonly type: 'relay.slot'
      readonly slot: string
      readonly state: 'created' | 'reserved' | 'extended' | 'unreserved' | 'lost' | 'missing'
      readonly retainedBytes: number
      readonly safeBytes: number | null
    }
  /** The relay lost its database or could not read the outbox. It goes on by itself; what came meanwhile is carried then. */
  | { readonly type: 'relay.failed'; readonly error: unknown }
  /**
   * Everything stored until now is a miss: a table was emptied, a statement changed too many rows, history is another, or somebody said so. Not of the
   * number that a process finds when it begins.
   */
  | { readonly type: 'epoch'; readonly number: number }
  /**
   * A fenced lock was given to this process. `others` holders have not let go since one last did so in good order: 0 when all is well; 1 or
   * more when they are paused, dead or working on without Redis. `hint`: whether Redis keeps others away meanwhile.
   */
  | {
      readonly type: 'lock'
      readonly state: 'acquired'
      readonly name: string
      readonly token: string
      readonly others: number
      readonly hint: 'taken' | 'unavailable'
      readonly waitedMs: number
    }
  /** `lost`: somebody else has taken over. `refused`: its token was out of date when it was asked for. `busy`: it was not given. */
  | {
      readonly type: 'lock'
      readonly state: 'released' | 'lost' | 'refused' | 'busy'
      readonly name: string
      readonly token: string | undefined
    }
  /**
   * A table was opened. `outbox`, `slot`: every change of it reaches the cache, if a relay runs. `ttl-only`: no relay is told, so crashed writers
   * and SQL from outside are bounded by its TTL.
   */
  | { readonly type: 'durability'; readonly entity: string; readonly durability: 'outbox' | 'slot' | 'ttl-only' }
  | { readonly type: 'background.failed'; readonly task: string; readonly error: unknown }

export type EmitEvent = (event: CorralEvent) => void
