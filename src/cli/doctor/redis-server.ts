import type { Settings } from '../../config.js'
import { type Finding, finding } from './findings.js'
import type { NodeFacts } from './redis-nodes.js'

const CLUSTER_VERSION = 7
const LAG_BYTES = 10 * 2 ** 20
const LAG_SECONDS = 10
/** Longest a replica may be silent before its primary stops, in a fleet whose relay repeats five minutes. */
const MAX_LAG_SECONDS = 10

/** What to do where nobody answers. */
export const CONNECT = 'check host, port, password and TLS in the config, and that the server runs: redis-cli -h … ping'

/** One server by itself, from what it says. A replica of a cluster is looked at for what it would do as a primary. */
export function checkServer(facts: NodeFacts, isCluster: boolean, { cache, relay }: Settings): Finding[] {
  const { address, isSeed, failure, info, config, user, roundTripMs } = facts
  if (failure !== undefined) {
    return [finding('redis.unreachable', address, failure, CONNECT)]
  }
  const findings: Finding[] = []
  const found = (...[id, what, fix]: [Parameters<typeof finding>[0], string, string]) =>
    findings.push(finding(id, address, what, fix))
  const set = (name: string, value: string) =>
    `redis-cli -h … config set ${name} ${value}, and the same in redis.conf or the parameter group`

  if (info) checkInfo(info, { isCluster, isSeed }, found)
  if (config) {
    const limit = Number(config.get('maxmemory'))
    const policy = config.get('maxmemory-policy') ?? ''
    if (limit === 0) found('redis.no-limit', 'maxmemory 0', set('maxmemory', '<three quarters of the machine>'))
    if (policy === 'noeviction')
      found('redis.eviction', 'maxmemory-policy noeviction', set('maxmemory-policy', 'allkeys-lfu'))
    const snapshotSeconds = leastSeconds(config.get('save') ?? '')
    const appends = config.get('appendonly') === 'yes'
    if (appends) found('redis.append-only', 'appendonly yes', set('appendonly', 'no'))
    else if (snapshotSeconds !== undefined) {
      const span = `at best every ${snapshotSeconds} s; relay.replayMs is ${relay.replayMs / 1_000} s`
      found('redis.persistence', `save ${config.get('save')}: snapshots ${span}`, set('save', '""'))
    }
    checkReplicas(info, config, found, set)
    const clients = Number(info?.get('connected_clients') ?? 0)
    const most = Number(config.get('maxclients'))
    if (clients > 0.9 * most)
      found('redis.clients', `${clients} of maxclients ${most}`, set('maxclients', String(2 * most)))
  }
  if (user) {
    const grant = 'npx corral acl   (prints a user that may do what Corral needs)'
    if (user.hasNoPassword) found('redis.no-password', `user ${user.name} has no password`, grant)
    else if (user.isOpen)
      found('redis.no-password', 'user default is on and has no password', 'acl setuser default off, in the ACL file')
    else if (user.mayDoAll) found('redis.broad-rights', `user ${user.name} may run every command on every key`, grant)
  }
  if (roundTripMs > cache.deadlineMs / 2) {
    const fix = 'run the service nearer to Redis (the same zone), or raise cache.deadlineMs'
    found(
      'redis.latency',
      `${roundTripMs.toFixed(1)} ms there and back at best; cache.deadlineMs is ${cache.deadlineMs}`,
      fix,
    )
  }
  return findings
}

type Found = (...[id, what, fix]: [Parameters<typeof finding>[0], string, string]) => void
type Facts = ReadonlyMap<string, string>

function checkInfo(info: Facts, { isCluster, isSeed }: { isCluster: boolean; isSeed: boolean }, found: Found): void {
  // Valkey goes by the last version of Redis it is compatible with; its own is beside it.
  const version = info.get('redis_version') ?? ''
  if (isCluster && Number.parseInt(version, 10) < CLUSTER_VERSION)
    found('redis.version', `version ${version}`, 'upgrade the cluster to Redis 7 or later, or Valkey')
  if (!isCluster && !isSeed && info.get('role') === 'slave') {
    found(
      'redis.replica',
      `role slave of ${info.get('master_host')}:${info.get('master_port')}`,
      'connect `redis` to the primary; let sentinels name it where it may move',
    )
  }
  const offset = Number(info.get('master_repl_offset'))
  for (const [name, text] of info) {
    if (!/^slave\d+$/.test(name)) continue
    const replica = new Map(text.split(',').map((pair) => pair.split('=') as [string, string]))
    const behind = offset - Number(replica.get('offset'))
    const silentSeconds = Number(replica.get('lag'))
    if (replica.get('state') === 'online' && behind <= LAG_BYTES && silentSeconds <= LAG_SECONDS) continue
    const what = `replica ${replica.get('ip')}:${replica.get('port')} is ${replica.get('state')}, ${behind} bytes behind, last heard of ${silentSeconds} s ago`
    found('redis.replica-lag', what, 'look at its network and its load; a bigger repl-backlog-size avoids full copies')
  }
}

function checkReplicas(
  info: Facts | undefined,
  config: Facts,
  found: Found,
  set: (name: string, value: string) => string,
): void {
  // A replica of a cluster that has none of its own will be the primary of those that remain.
  const replicas = Number(info?.get('connected_slaves') ?? 0)
  if (replicas === 0) return
  const needed = Number(config.get('min-replicas-to-write'))
  const lag = Number(config.get('min-replicas-max-lag'))
  if (needed > 0 && lag > 0 && lag < MAX_LAG_SECONDS) return
  const what = `${replicas} connected, min-replicas-to-write ${needed}, min-replicas-max-lag ${lag}`
  found('redis.min-replicas', what, `${set('min-replicas-to-write', '1')}; config set min-replicas-max-lag 2`)
}

/** Of `save 3600 1 300 100`, the least seconds; undefined when it makes no snapshots. */
function leastSeconds(save: string): number | undefined {
  const seconds = save.split(' ').filter((part, at) => part !== '' && at % 2 === 0)
  return seconds.length === 0 ? undefined : Math.min(...seconds.map(Number))
}
