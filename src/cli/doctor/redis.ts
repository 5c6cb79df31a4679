import type { Clock } from '../../core/clock.js'
import { type Diagnosis, type Finding, finding, NOTHING, type Unchecked } from './findings.js'
import type { Patient } from './patient.js'
import { checkAccess, readAccess } from './redis-access.js'
import { checkClient, clientFacts } from './redis-client.js'
import { checkCluster, checkSeeds } from './redis-cluster.js'
import { type NodeFacts, openNodes, readNode } from './redis-nodes.js'
import { checkSentinels, readSentinels } from './redis-sentinels.js'
import { CONNECT, checkServer } from './redis-server.js'

/** Nodes disagree for a moment whenever anything changes: what is gone after so long is no finding. */
const SETTLE_MS = 1_500
/** Sentinels tell one another every two seconds. */
const SENTINELS_SETTLE_MS = 2_500

/** Everything about Redis: options of the client, sentinels, each server, the cluster as all its nodes see it, and what the user may do. */
export async function examineRedis(patient: Patient): Promise<{ diagnosis: Diagnosis; nodes: readonly NodeFacts[] }> {
  const { inside, clock } = patient
  const { redis, settings } = inside
  if (redis === undefined) {
    const none = finding(
      'redis.none',
      'option `redis`',
      'not given',
      'give the ioredis client that the processes share',
    )
    return { diagnosis: { ...NOTHING, findings: [none] }, nodes: [] }
  }
  const { isCluster } = redis
  const client = clientFacts(redis)
  const sentinels = await readSentinels(patient)
  const primaries = sentinels && [...new Set(sentinels.flatMap(({ primary }) => primary ?? []))]
  const { nodes: opened, own } = await openNodes(patient, primaries)
  try {
    const read = () => Promise.all(opened.map((node) => readNode(node, { ...client, clock })))
    const nodes = await read()
    const together = isCluster ? checkCluster : checkSeeds
    const { name = '' } = client.sentinels ?? {}
    const [ofNodes, ofSentinels] = await Promise.all([
      settled(together(nodes), SETTLE_MS, clock, async () => together(await read())),
      settled(checkSentinels(name, sentinels ?? []), SENTINELS_SETTLE_MS, clock, async () =>
        checkSentinels(name, (await readSentinels(patient)) ?? []),
      ),
    ])
    const known = sentinels === undefined ? 'start-up nodes' : 'sentinels'
    const none =
      opened.length === 0 ? [finding('redis.unreachable', known, 'none of them leads to a server', CONNECT)] : []
    const isReachable = nodes.some(({ failure }) => failure === undefined)
    const findings = [
      ...none,
      ...checkClient(client, settings),
      ...ofSentinels,
      ...nodes.flatMap((facts) => checkServer(facts, isCluster, settings)),
      ...ofNodes,
      ...(isReachable ? checkAccess(await readAccess(own, patient)) : []),
    ]
    return { diagnosis: { findings, unchecked: nodes.flatMap(uncheckedOf) }, nodes }
  } finally {
    own.disconnect()
    for (const { connection } of opened) connection.disconnect()
  }
}

const UNSETTLED: readonly Finding['id'][] = [
  'redis.two-primaries',
  'cluster.views-differ',
  'cluster.epochs-differ',
  'cluster.node-failing',
  'cluster.down',
  'sentinel.masters-differ',
  'sentinel.epochs-differ',
]

/** Without what is gone by the second look, where the first has found anything that may be. */
async function settled(
  first: readonly Finding[],
  settleMs: number,
  clock: Clock,
  lookAgain: () => Promise<readonly Finding[]>,
): Promise<readonly Finding[]> {
  if (!first.some(({ id }) => UNSETTLED.includes(id))) return first
  await clock.sleep(settleMs)
  const again = new Set((await lookAgain()).map(nameOf))
  return first.filter((each) => again.has(nameOf(each)))
}

function nameOf({ id, subject }: Finding): string {
  return `${id} ${subject}`
}

function uncheckedOf({ address, failure, info, config, user }: NodeFacts): Unchecked[] {
  if (failure !== undefined) return []
  const reason = 'this Redis user may not ask; CORRAL_ADMIN_USERNAME and CORRAL_ADMIN_PASSWORD name one that may'
  return [
    ...(info === undefined ? [{ what: `${address}: role, replicas, version (INFO)`, reason }] : []),
    ...(config === undefined ? [{ what: `${address}: memory, persistence, replicas (CONFIG GET)`, reason }] : []),
    ...(user === undefined ? [{ what: `${address}: rights of the user (ACL)`, reason }] : []),
  ]
}
