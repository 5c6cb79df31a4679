/** The attributes of spans and metrics, and the values they can have. See names.ts. */
export interface AttributeDefinition {
  readonly name: string
  readonly description: string
  /** Every value it can have; left out where that is for the application to say. */
  readonly values?: readonly string[]
}

export const ATTRIBUTES = {
  namespace: { name: 'cache.namespace', description: '`namespace` of the instance.' },
  name: { name: 'cache.name', description: 'Table, as `schema.table`, or name of a query.' },
  operation: {
    name: 'cache.operation',
    description: 'The call.',
    values: [
      ...['find', 'findMany', 'findBy', 'query'],
      ...['insert', 'upsert', 'update', 'delete', 'mutate', 'transaction'],
    ],
  },
  result: {
    name: 'cache.result',
    description:
      'Of a read: `hit` by an entry, `negative` by a remembered absence, `stale` by an expired entry within its grace, `miss` by a fill, ' +
      '`bypass` by the database alone; of several keys the last in this list that occurred. Of a write: what came of its fences, `none` if it wrote nothing. `error`: it failed.',
    values: ['hit', 'negative', 'stale', 'miss', 'bypass', 'fenced', 'pending', 'none', 'error'],
  },
  tier: {
    name: 'cache.tier',
    description:
      "Where the answer came from: this process' memory, the cache, a hot key's copy there, the database; of several keys the farthest.",
    values: ['l1', 'l2', 'copy', 'source'],
  },
  hit: { name: 'cache.hit', description: 'True if no key of the call had to be loaded.' },
  keys: { name: 'cache.keys', description: 'Number of keys.' },
  keyHash: {
    name: 'cache.key.hash',
    description: 'With `telemetry.keys`: keyed hash of the key, by `secret` where there is one, else by the namespace.',
  },
  fillReason: {
    name: 'cache.fill.reason',
    description: '`miss`: a reader waits. `refresh`: ahead of the expiry.',
    values: ['miss', 'refresh'],
  },
  fillOutcome: {
    name: 'cache.fill.outcome',
    description:
      'What became of what was loaded. `lease-lost`, `fenced`: a write came in between. `older`: the cache holds something newer. ' +
      '`uncacheable`: it cannot be kept. `unavailable`: the cache did not answer. `failed`: the load failed.',
    values: ['filled', 'lease-lost', 'fenced', 'older', 'uncacheable', 'unavailable', 'failed'],
  },
  scope: {
    name: 'cache.scope',
    description: 'Whose fill a reader shared: one of its own process, or of another.',
    values: ['process', 'fleet'],
  },
  waitOutcome: {
    name: 'cache.wait.outcome',
    description:
      '`answered`: by the fill that was waited for. `took-over`: its time was up. `gave-up`: `lease.waitMs` was, or the cache did not answer. `failed`: that load failed.',
    values: ['answered', 'took-over', 'gave-up', 'failed'],
  },
  fenceOutcome: {
    name: 'cache.fence.outcome',
    description:
      '`fenced`: the cache acknowledged it. `pending`: not yet. `settled`: a pending one, later. `dropped`: a pending one was given up.',
    values: ['fenced', 'pending', 'settled', 'dropped'],
  },
  cause: {
    name: 'cache.cause',
    description:
      "`write`: from the end of a COMMIT to the acknowledgement of its fences. `outbox`: from the write of a row, by the database's clock, " +
      "to the acknowledgement of the relay's fences. `bus`: from the sending of a message to its arrival, measured on a process' own heartbeats.",
    values: ['write', 'outbox', 'bus'],
  },
  flushReason: {
    name: 'cache.reason',
    description: 'Why what may have been missed could not be ruled out.',
    values: ['gap', 'silent', 'unheard', 'subscribed', 'interrupted', 'unknown-format'],
  },
  refusedReason: { name: 'cache.reason', description: 'What was wrong.', values: ['malformed', 'forged', 'replayed'] },
  skipReason: {
    name: 'cache.reason',
    description:
      "`behind`: the replica's snapshot was too old. `floor`: its row was. `fenced`: the cache asked for more. `failed`: it did not answer.",
    values: ['behind', 'floor', 'fenced', 'failed'],
  },
  breakerState: {
    name: 'cache.breaker.state',
    description: '`closed`: the cache is used. `open`: it is not. `half-open`: one call is finding out.',
    values: ['closed', 'open', 'half-open'],
  },
  lockState: {
    name: 'cache.lock.state',
    description: 'What became of a fenced lock. Taken and neither released nor lost: it is held.',
    values: ['acquired', 'released', 'lost', 'refused', 'busy'],
  },
  incident: {
    name: 'cache.incident',
    description: 'Type of the [event](events.md).',
    values: [
      ...['entry.unreadable', 'entry.uncacheable', 'entry.oversized', 'write.unseen', 'ttl.refused', 'shape.changed'],
      ...['floor.reset', 'cache.unavailable', 'relay.failed', 'primary.recovering', 'epoch', 'background.failed'],
      ...['outage', 'relay.replayed', 'relay.slot', 'drift.found'],
    ],
  },
  errorType: {
    name: 'error.type',
    description: "Code of the error: Corral's own, a SQLSTATE or a system error; else its class. Only on failures.",
  },
} as const satisfies Record<string, AttributeDefinition>

export type AttributeKey = keyof typeof ATTRIBUTES
