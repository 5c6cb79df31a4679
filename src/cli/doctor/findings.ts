export type Severity = 'critical' | 'warning' | 'notice'

/**
 * Everything `corral doctor` can find, with the reason why it matters. Ids are public: scripts match on them. `critical`: rows can be
 * shown that are out of date for longer than promised, or something does not work at all. `warning`: it will, when something fails.
 * `notice`: worth knowing.
 */
export const FINDINGS = {
  'postgres.unreachable': [
    'critical',
    'Postgres decides everything. Without it nothing is read but what is cached, and nothing is written.',
  ],
  'postgres.version': [
    'critical',
    'Snapshots and transaction ids of 64 bits, by which fills and the outbox are ordered, came with Postgres 13.',
  ],
  'postgres.recovering': [
    'critical',
    '`db` is connected to a standby. It refuses writes, lags behind, and what it loads is not stored.',
  ],
  'postgres.async-commit': [
    'warning',
    'A crash of the server can undo writes whose commit was acknowledged. Until the relay notices the crash, caches may show rows that never were.',
  ],
  'postgres.epoch-privilege': [
    'critical',
    'The number of the epoch is in Postgres. A process that may not read it cannot tell entries from those that a TRUNCATE or a failover has ended, and refuses to start.',
  ],
  'table.unfit': ['critical', 'The first call on this repository fails.'],
  'stamp.missing': ['critical', 'Nothing orders two copies of a row, so Corral refuses the table.'],
  'stamp.disabled': ['critical', 'Rows are written that keep their old version: an old copy passes for a new one.'],
  'stamp.outdated': ['warning', 'The triggers were made by another release, or a part of them is gone.'],
  'stamp.broken': [
    'critical',
    'The triggers set a column that is not there, or is not bigint not null: writes of the table fail, whoever makes them, and Corral refuses it.',
  ],
  'outbox.missing': [
    'warning',
    'A process that dies between COMMIT and fence, SQL from outside and a failover of Redis leave rows out of date until their TTL ends.',
  ],
  'outbox.triggers-missing': [
    'warning',
    'Changes of this table that are not made through Corral reach the cache when the TTL ends, and not before.',
  ],
  'outbox.triggers-disabled': [
    'critical',
    'The outbox is relied on, and some changes of this table are not written to it.',
  ],
  'outbox.triggers-broken': [
    'critical',
    'The triggers read a column that is not there, as when it was renamed: writes of the table fail, whoever makes them.',
  ],
  'outbox.triggers-outdated': [
    'warning',
    'The triggers are not those that the repositories need: they were made by another release, for other `unique` or `queryBy` columns, or before a partition was.',
  ],
  'relay.absent': [
    'critical',
    'The outbox is written and nobody carries it to the cache: changes from outside are not noticed, reads with maxStaleMs all go to the database, and the outbox grows.',
  ],
  'relay.stuck': ['critical', 'A process holds the lead and does not move: it waits for Redis, or it is stopped.'],
  'relay.privilege': ['critical', 'The config runs a relay whose role may not do what it has to.'],
  'outbox.late': ['warning', 'Committed changes are not in the cache yet; readers are shown what was before them.'],
  'outbox.large': [
    'warning',
    'Nothing is let go that has not been relayed for every namespace. Disk space is taken, and a relay that begins now has all of it to read.',
  ],
  'outbox.abandoned': [
    'notice',
    "This namespace's relay was away for long. Until it has been for a day, all of what it has missed is kept.",
  ],
  'slot.wal-level': [
    'critical',
    "The config's relay reads a replication slot, and the server writes no log that one could be made of.",
  ],
  'slot.tables-missing': [
    'critical',
    "The config's relay reads a replication slot, and there is no publication for it.",
  ],
  'slot.table-missing': [
    'warning',
    'Changes of this table that are not made through Corral reach the cache when the TTL ends, and not before.',
  ],
  'slot.table-outdated': [
    'warning',
    'The slot is told of this table by another key, version, `unique` or `queryBy` columns than the repositories need. A repository that finds that out is as if there were no relay.',
  ],
  'slot.lost': [
    'critical',
    'The server has let go of log that the slot needs, or is about to: the relay begins anew, and everything cached is a miss.',
  ],
  'slot.retained': [
    'warning',
    'The server keeps its log for the slot: its disk fills until the relay reads on, or it gives the slot up at max_slot_wal_keep_size.',
  ],
  'epoch.behind': [
    'critical',
    'An epoch was ended in Postgres and Redis does not say so: processes that start late, and those that missed the message, show what it has ended.',
  ],
  'redis.none': [
    'notice',
    "The cache is in the memory of one process. Several processes do not hear of one another's writes.",
  ],
  'redis.unreachable': ['critical', 'Every read goes to the database, and fences wait.'],
  'redis.refused': [
    'critical',
    'Redis does not let this user do what the protocol needs. Nothing is cached, or nothing is fenced.',
  ],
  'redis.full': ['critical', 'Redis refuses to store anything: fills fail, and so do fences where there is an entry.'],
  'redis.version': [
    'critical',
    'Messages between processes on a cluster travel by sharded pub/sub, which came with Redis 7.',
  ],
  'redis.replica': [
    'critical',
    'The connection leads to a replica. It refuses writes: nothing is filled, nothing is fenced.',
  ],
  'redis.eviction': [
    'warning',
    'When its memory is full, Redis refuses to store instead of making room: every read becomes a load.',
  ],
  'redis.no-limit': ['warning', 'Nothing bounds its memory. The kernel ends it when the machine has none left.'],
  'redis.persistence': [
    'warning',
    'After a restart the entries of the last snapshot are back, without the fences that have come since. The relay repeats only those of the last relay.replayMs.',
  ],
  'redis.append-only': [
    'notice',
    'Nothing of the cache is worth a disk: losing it costs speed only. Rewriting the log costs memory and latency.',
  ],
  'redis.min-replicas': [
    'warning',
    'A primary that is cut off goes on taking fences and fills that its successor will not have. With this setting it stops within seconds.',
  ],
  'redis.replica-lag': [
    'warning',
    'What the replica has not received is lost in a failover: fences, too, until the relay has repeated them.',
  ],
  'redis.clients': ['warning', 'At the limit new connections are refused: processes that start then have no cache.'],
  'redis.latency': [
    'warning',
    'Reads wait for cache.deadlineMs at most. At this distance many will go to the database without need.',
  ],
  'redis.no-password': ['warning', 'Whoever reaches the port can read rows, and put others in their place.'],
  'redis.broad-rights': [
    'notice',
    'This user may do much more than Corral needs: what gets hold of its password may, too.',
  ],
  'redis.two-primaries': [
    'critical',
    'Two servers hold themselves for the primary of the same keys. Fences that reach one are not on the other, and one of the two will lose what it took.',
  ],
  'sentinel.masters-differ': [
    'critical',
    'Processes that ask one sentinel write to one server, those that ask another to the other. Fences that reach one are not on the other.',
  ],
  'sentinel.epochs-differ': [
    'warning',
    'Sentinels have not heard of the same failovers: some of them are cut off from the others.',
  ],
  'sentinel.unreachable': [
    'warning',
    'The majority of the sentinels decides on a failover; and clients that ask this one first wait until that fails.',
  ],
  'sentinel.name-unknown': [
    'warning',
    'Clients that ask this sentinel are told of no server. A process that reaches no other has no cache.',
  ],
  'sentinel.no-quorum': ['warning', 'When the primary is lost, nobody is promoted.'],
  'cluster.views-differ': [
    'critical',
    'Nodes disagree about who owns slots, so what is written depends on who was asked.',
  ],
  'cluster.epochs-differ': [
    'warning',
    'Nodes have not heard of the same elections: some of them are cut off from the others.',
  ],
  'cluster.down': ['critical', 'The cluster refuses commands.'],
  'cluster.uncovered': [
    'critical',
    'Keys of these slots have no server: their reads are loads, and their fences wait.',
  ],
  'cluster.node-failing': ['warning', 'Others have not heard from this node for longer than cluster-node-timeout.'],
  'cluster.full-coverage': [
    'warning',
    'When one shard is lost, the others refuse to work, too: all of the cache is gone instead of a part.',
  ],
  'cluster.no-replica': ['warning', 'When this shard is lost nobody takes over its slots.'],
  'client.no-error-listener': ['notice', 'Without a listener ioredis prints an error at each attempt to reconnect.'],
  'client.key-prefix': [
    'notice',
    'Every key and the channel begin with it. It must be the same in every process, and the rights of the Redis user must name it.',
  ],
  'client.command-timeout': [
    'warning',
    "Corral's own connections inherit it. It ends commands before cache.giveUpMs does, which opens the breaker early and leaves fences pending.",
  ],
  'client.sentinel-replica': [
    'notice',
    "The client asks the sentinels for a replica. Corral's own connections ask for the primary all the same.",
  ],
  'client.no-tls': ['notice', 'Rows travel to another machine unencrypted.'],
  'client.tls-unverified': [
    'warning',
    "The server's certificate is not checked: whoever is between can be the server.",
  ],
  'clock.redis-nodes': [
    'warning',
    'Entries carry the time of the node that stored them. After a failover they live longer or shorter by this difference.',
  ],
  'clock.host': [
    'notice',
    'Corral compares no clocks of hosts, but logs, traces and the stamps of rows will not agree.',
  ],
  'standby.primary': [
    'warning',
    '`replica.db` is connected to a server that is no standby. Loads that were to be kept from the primary are made there.',
  ],
  'standby.other-database': [
    'critical',
    '`replica.db` is not a copy of `db`: what it loads has nothing to do with what is written.',
  ],
  'standby.lag': [
    'warning',
    'What the standby has not replayed cannot be loaded from it: the primary is asked instead.',
  ],
  'standby.unreachable': ['warning', 'Loads that were meant for the standby go to the primary.'],
} as const satisfies Readonly<Record<string, readonly [Severity, string]>>

export type FindingId = keyof typeof FINDINGS

/** Something that is wrong, and how to mend it. */
export interface Finding {
  readonly id: FindingId
  readonly severity: Severity
  /** The server, table or option it is about. */
  readonly subject: string
  readonly found: string
  readonly why: string
  /** A command, a statement, or what to change in the config. */
  readonly fix: string
}

/** What could not be looked at, and why. No finding: nobody knows. */
export interface Unchecked {
  readonly what: string
  readonly reason: string
}

/** What one group of checks has to say. */
export interface Diagnosis {
  readonly findings: readonly Finding[]
  readonly unchecked: readonly Unchecked[]
}

export function finding(id: FindingId, subject: string, found: string, fix: string): Finding {
  const [severity, why] = FINDINGS[id]
  return { id, severity, subject, found, why, fix }
}

export function merged(diagnoses: readonly Diagnosis[]): Diagnosis {
  return {
    findings: diagnoses.flatMap(({ findings }) => findings),
    unchecked: diagnoses.flatMap(({ unchecked }) => unchecked),
  }
}

export const NOTHING: Diagnosis = { findings: [], unchecked: [] }
