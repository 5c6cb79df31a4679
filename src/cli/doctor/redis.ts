import { type Diagnosis, type Finding, finding, NOTHING, type Unchecked } from './findings.js'
import type { Patient } from './patient.js'
import { checkAccess, readAccess } from './redis-access.js'
import { checkClient, clientFacts } from './redis-client.js'
import { checkCluster, checkSeeds } from './redis-cluster.js'
import { type NodeFacts, openNodes, readNode } from './redis-nodes.js'
import { CONNECT, checkServer } from './redis-server.js'

/** Nodes disagree for a moment whenever anything changes: what is gone after so long is no finding. */
const SETTLE_MS = 1_500

/** Everything about Redis: options of the client, each server, the cluster as all its nodes see it, and what the user may do. */
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
  const { username } = clientFacts(redis)
  const { nodes: opened, own } = await openNodes(patient)
  try {
    const read = () => Promise.all(opened.map((node) => readNode(node, { isCluster, username, clock })))
    const nodes = await read()
    const together = isCluster ? checkCluster : checkSeeds
    let ofCluster = together(nodes)
    if (ofCluster.some(({ id }) => UNSETTLED.includes(id))) {
      await clock.sleep(SETTLE_MS)
      const again = new Set(together(await read()).map(nameOf))
      ofCluster = ofCluster.filter((each) => again.has(nameOf(each)))
    }
    const none =
      opened.length === 0 ? [finding('redis.unreachable', 'start-up nodes', 'none of them answers', CONNECT)] : []
    const isReachable = nodes.some(({ failure }) => failure === undefined)
    const findings = [
      ...none,
      ...checkClient(clientFacts(redis), settings),
      ...nodes.flatMap((facts) => checkServer(facts, isCluster, settings)),
      ...ofCluster,
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
]

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
