import type { AttributeKey } from './attribute-names.js'

/**
 * Every name this library gives to OpenTelemetry, here and in attribute-names.ts, so that they can follow a convention when there is one: semantic
 * conventions know no caches yet (open-telemetry/semantic-conventions#1747). `docs/reference/metrics.md` and `spans.md` are written
 * from here.
 */

/** Of the tracer and the meter. */
export const SCOPE = 'corral'

export interface MetricDefinition {
  readonly name: string
  /** `counter` and `gauge` are read when metrics are collected where the name begins with `observed`. */
  readonly kind: 'histogram' | 'counter' | 'observed counter' | 'observed updowncounter' | 'observed gauge'
  readonly unit: string
  /** Besides `cache.namespace`, which all have. */
  readonly attributes: readonly AttributeKey[]
  readonly description: string
}

export const METRICS = {
  operationDuration: {
    name: 'cache.operation.duration',
    kind: 'histogram',
    unit: 's',
    attributes: ['name', 'operation', 'result', 'tier', 'errorType'],
    description:
      "Calls that read or write. Reads that this process' memory answers are not timed, only counted in `cache.requests`.",
  },
  requests: {
    name: 'cache.requests',
    kind: 'observed counter',
    unit: '{request}',
    attributes: ['name', 'result', 'tier'],
    description:
      'Keys that were read, by how each was answered. A `findBy` reads two: the lookup and the row. Without failed reads.',
  },
  coalesced: {
    name: 'cache.coalesced.requests',
    kind: 'counter',
    unit: '{request}',
    attributes: ['name', 'scope'],
    description: "Readers who were answered by a fill that was not their own: loads that didn't happen.",
  },
  fillDuration: {
    name: 'cache.fill.duration',
    kind: 'histogram',
    unit: 's',
    attributes: ['name', 'fillReason', 'fillOutcome', 'errorType'],
    description: 'Fills on behalf of readers: from the lease to the acknowledgement of the store.',
  },
  fillRejected: {
    name: 'cache.fill.rejected',
    kind: 'counter',
    unit: '{fill}',
    attributes: ['name', 'fillOutcome'],
    description: 'Fills that stored nothing, those of copies and warm-ups included.',
  },
  leaseWaitDuration: {
    name: 'cache.lease.wait.duration',
    kind: 'histogram',
    unit: 's',
    attributes: ['name', 'waitOutcome'],
    description: 'Waits for the fill of another process; one for all readers in this process who wait for the same.',
  },
  loadDuration: {
    name: 'cache.load.duration',
    kind: 'histogram',
    unit: 's',
    attributes: ['name', 'errorType'],
    description: 'Statements that loaded rows or results from the database on behalf of the cache.',
  },
  loadRows: {
    name: 'cache.load.rows',
    kind: 'counter',
    unit: '{row}',
    attributes: ['name'],
    description: 'Keys that these statements asked for.',
  },
  replicaSkipped: {
    name: 'cache.replica.skipped',
    kind: 'counter',
    unit: '{load}',
    attributes: ['name', 'skipReason'],
    description: 'Misses that were to be loaded from a replica, and were from the primary after all.',
  },
  loadsRunning: {
    name: 'cache.load.running',
    kind: 'observed updowncounter',
    unit: '{load}',
    attributes: [],
    description: 'Loads of this process that are at the database now.',
  },
  loadsWaiting: {
    name: 'cache.load.waiting',
    kind: 'observed updowncounter',
    unit: '{load}',
    attributes: [],
    description: 'Loads of this process that wait for their turn (`load.concurrency`).',
  },
  fencedKeys: {
    name: 'cache.fence.keys',
    kind: 'counter',
    unit: '{key}',
    attributes: ['fenceOutcome'],
    description: 'Keys that were fenced, copies included.',
  },
  pendingFences: {
    name: 'cache.fence.pending',
    kind: 'observed updowncounter',
    unit: '{key}',
    attributes: [],
    description: 'Fences of this process that the cache has not acknowledged yet.',
  },
  invalidationLag: {
    name: 'cache.invalidation.lag',
    kind: 'histogram',
    unit: 's',
    attributes: ['cause'],
    description: 'How long what was written takes to become known, by the way it takes.',
  },
  busGap: {
    name: 'cache.bus.gap',
    kind: 'counter',
    unit: '{gap}',
    attributes: [],
    description: 'Messages of another process that this one noticed it had missed, one or more in a row.',
  },
  busResync: {
    name: 'cache.bus.resync',
    kind: 'counter',
    unit: '{resync}',
    attributes: ['flushReason'],
    description: "How often this process' memory was emptied because something may have been missed.",
  },
  busUnsent: {
    name: 'cache.bus.unsent',
    kind: 'counter',
    unit: '{message}',
    attributes: [],
    description: 'Messages that could not be published; the others notice a gap.',
  },
  busRefused: {
    name: 'cache.bus.refused',
    kind: 'counter',
    unit: '{message}',
    attributes: ['refusedReason'],
    description: 'Messages that changed nothing.',
  },
  relayChanges: {
    name: 'cache.relay.changes',
    kind: 'counter',
    unit: '{change}',
    attributes: [],
    description: 'Changes that the relay of this process has carried to the cache.',
  },
  relayLeader: {
    name: 'cache.relay.leader',
    kind: 'observed updowncounter',
    unit: '{process}',
    attributes: [],
    description: '1 if this process relays now. The sum over a namespace should be 1. Only of processes with `relay`.',
  },
  outboxPending: {
    name: 'cache.outbox.pending',
    kind: 'observed updowncounter',
    unit: '{change}',
    attributes: [],
    description:
      'Changes that the relay has read and the cache has not acknowledged. A full page may have more behind it. 0 where another process relays.',
  },
  outboxAge: {
    name: 'cache.outbox.age',
    kind: 'observed gauge',
    unit: 's',
    attributes: [],
    description:
      'For how long at most a committed change may have been waiting for the relay. An idle relay looks each `relay.pollMs`. 0 where another process relays.',
  },
  slotRetained: {
    name: 'cache.relay.slot.retained',
    kind: 'observed gauge',
    unit: 'By',
    attributes: [],
    description:
      "What the database keeps of its log for the relay's replication slot. Only of processes that have read one; 0 where another process relays.",
  },
  breakerState: {
    name: 'cache.breaker.state',
    kind: 'observed updowncounter',
    unit: '{instance}',
    attributes: ['breakerState'],
    description: '1 for the state the circuit breaker is in, 0 for the others.',
  },
  l1Entries: {
    name: 'cache.l1.entry.count',
    kind: 'observed updowncounter',
    unit: '{entry}',
    attributes: ['name'],
    description: "Rows in this process' memory.",
  },
  l1Size: {
    name: 'cache.l1.size',
    kind: 'observed updowncounter',
    unit: 'By',
    attributes: ['name'],
    description: 'Their size, measured on the encoded rows.',
  },
  hotKeys: {
    name: 'cache.hotkey.active',
    kind: 'observed updowncounter',
    unit: '{key}',
    attributes: ['name'],
    description: 'Keys that are hot by the reads of this process, of repositories with `hotKeys`.',
  },
  driftChecked: {
    name: 'cache.drift.checked',
    kind: 'counter',
    unit: '{row}',
    attributes: ['name'],
    description: "Copies that were compared with the database, by `consistency: 'verified'` or `corral.audit`.",
  },
  driftFound: {
    name: 'cache.drift.found',
    kind: 'counter',
    unit: '{row}',
    attributes: ['name'],
    description:
      'Those that differed. To a verified read a write whose fence is on its way looks the same for as long as that takes; an audit looks twice.',
  },
  lockHolders: {
    name: 'cache.lock.holders',
    kind: 'observed updowncounter',
    unit: '{lock}',
    attributes: [],
    description:
      'Fenced locks that this process holds, or believes to hold. Summed over the fleet: more than there are names of locks means two holders of one.',
  },
  lockChanges: {
    name: 'cache.lock.changes',
    kind: 'counter',
    unit: '{change}',
    attributes: ['lockState'],
    description: 'Fenced locks that were acquired, released, lost to somebody else, refused or not given.',
  },
  lockOverlaps: {
    name: 'cache.lock.overlaps',
    kind: 'counter',
    unit: '{lock}',
    attributes: [],
    description: 'Fenced locks acquired while somebody else still held a token: whoever that is can write no more.',
  },
  incidents: {
    name: 'cache.incidents',
    kind: 'counter',
    unit: '{incident}',
    attributes: ['incident'],
    description: 'What should be rare and is worth a look at the log.',
  },
} as const satisfies Record<string, MetricDefinition>

export type MetricKey = keyof typeof METRICS

/**
 * Upper bounds of the histograms' buckets in seconds: those that the conventions for database clients advise (`db.client.operation.duration`),
 * with more below a millisecond, where a cache answers, and more around 300 ms, which the lag of an invalidation should not pass.
 */
export const DURATION_BUCKETS: number[] = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.3, 0.5, 1, 5, 10,
]

export interface SpanDefinition {
  /** `cache.name` follows it in the span's own name, where there is one. */
  readonly name: string
  readonly attributes: readonly AttributeKey[]
  readonly description: string
}

/** All of kind INTERNAL: the CLIENT spans are for the instrumentations of pg and ioredis, and become children of these. */
export const SPANS = {
  find: {
    name: 'cache.find',
    attributes: ['namespace', 'name', 'operation', 'result', 'tier', 'hit', 'errorType'],
    description: "`find` of a row that this process' memory does not hold.",
  },
  findMany: {
    name: 'cache.findMany',
    attributes: ['namespace', 'name', 'operation', 'result', 'tier', 'hit', 'keys', 'errorType'],
    description: "`findMany`, unless this process' memory holds all of the rows.",
  },
  findBy: {
    name: 'cache.findBy',
    attributes: ['namespace', 'name', 'operation', 'result', 'tier', 'hit', 'errorType'],
    description: '`findBy`.',
  },
  query: {
    name: 'cache.query',
    attributes: ['namespace', 'name', 'operation', 'result', 'tier', 'hit', 'errorType'],
    description: 'A call of a cached query.',
  },
  fill: {
    name: 'cache.fill',
    attributes: ['namespace', 'name', 'keyHash', 'fillReason', 'fillOutcome', 'errorType'],
    description:
      'Load and store, by who holds the lease. Child of the read that began it, which it may outlive: the row is stored behind its ' +
      'reader. The spans of all other reads of this process that it answered have a link to it.',
  },
  refresh: {
    name: 'cache.refresh',
    attributes: ['namespace', 'name', 'keyHash', 'fillReason', 'fillOutcome', 'errorType'],
    description: 'The same ahead of the expiry; nobody waits for it.',
  },
  load: {
    name: 'cache.load',
    attributes: ['namespace', 'name', 'keyHash', 'errorType'],
    description:
      'A load that stores nothing: `primary` was asked for, the cache is away, or the wait for a lease took too long.',
  },
  write: {
    name: 'cache.write',
    attributes: ['namespace', 'name', 'operation', 'result', 'errorType'],
    description: 'A write through a repository, or a transaction: its statements and the fence that follows them.',
  },
  fence: {
    name: 'cache.fence',
    attributes: ['namespace', 'keys', 'fenceOutcome', 'errorType'],
    description: 'What follows a commit: fences of all keys, then word to the other processes.',
  },
  relayBatch: {
    name: 'cache.relay batch',
    attributes: ['namespace', 'keys', 'errorType'],
    description:
      'One page of changes carried from the outbox to the cache. A trace of its own. `cache.keys` counts the changes.',
  },
} as const satisfies Record<string, SpanDefinition>
