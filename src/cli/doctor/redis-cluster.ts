import { type Finding, finding } from './findings.js'
import { type ClusterNode, type NodeFacts, parseClusterNodes } from './redis-nodes.js'

const SLOTS = 16_384
/** First of all, whatever else: while both halves take writes, everything that is mended is undone by the other. */
export const DRAIN =
  'first drain the partitioned half: take the services that reach it out of traffic, or stop it. Touch nothing else before. See the runbook of two primaries'

/** What several nodes of one cluster say of it: where they disagree, the cluster is not one. */
export function checkCluster(nodes: readonly NodeFacts[]): Finding[] {
  const views = nodes.flatMap(({ address, clusterNodes, clusterInfo }) =>
    clusterNodes === undefined ? [] : [{ address, nodes: parseClusterNodes(clusterNodes), info: clusterInfo }],
  )
  return [
    ...ownersThatDiffer(views),
    ...epochsThatDiffer(views),
    ...states(views),
    ...shards(views),
    ...coverage(nodes),
  ]
}

interface View {
  readonly address: string
  readonly nodes: readonly ClusterNode[]
  readonly info: ReadonlyMap<string, string> | undefined
}

function ownersThatDiffer(views: readonly View[]): Finding[] {
  const claims = new Map<string, number[]>()
  const differing = new Map<string, number[]>()
  for (let slot = 0; slot < SLOTS; slot++) {
    const owners = new Set(views.flatMap((view) => ownerOf(view, slot)?.id ?? []))
    if (owners.size < 2) continue
    // Who says so of itself takes writes for the slot.
    const self = views.flatMap((view) => view.nodes.filter((node) => node.flags.includes('myself') && owns(node, slot)))
    const names = [...new Set(self.map(({ address }) => address))].sort()
    const [into, key] = names.length > 1 ? [claims, names.join(' and ')] : [differing, 'the nodes']
    into.set(key, [...(into.get(key) ?? []), slot])
  }
  const sentence = (slots: readonly number[]) => `${slots.length} slots from ${slots[0]} to ${slots.at(-1)}`
  return [
    ...[...claims].map(([names, slots]) =>
      finding('redis.two-primaries', names, `each holds itself for the owner of ${sentence(slots)}`, DRAIN),
    ),
    ...[...differing].map(([names, slots]) =>
      finding(
        'cluster.views-differ',
        names,
        `name different owners of ${sentence(slots)}`,
        'redis-cli --cluster check <host:port>, and --cluster fix when all nodes reach one another',
      ),
    ),
  ]
}

function ownerOf(view: View, slot: number): ClusterNode | undefined {
  return view.nodes.find((node) => owns(node, slot))
}

function owns({ slots }: ClusterNode, slot: number): boolean {
  return slots.some(([from, to]) => slot >= from && slot <= to)
}

function epochsThatDiffer(views: readonly View[]): Finding[] {
  const epochs = views.flatMap(({ address, info }) => {
    const epoch = info?.get('cluster_current_epoch')
    return epoch === undefined ? [] : [[address, epoch] as const]
  })
  if (new Set(epochs.map(([, epoch]) => epoch)).size < 2) return []
  const said = epochs.map(([address, epoch]) => `${address} ${epoch}`).join(', ')
  return [
    finding(
      'cluster.epochs-differ',
      'cluster_current_epoch',
      said,
      'check that every node reaches the bus port of every other (port + 10000)',
    ),
  ]
}

function states(views: readonly View[]): Finding[] {
  const down = views.filter(({ info }) => info?.get('cluster_state') === 'fail')
  const failing = new Map<string, string[]>()
  for (const { address, nodes } of views) {
    for (const node of nodes) {
      if (!node.flags.includes('fail') && !node.flags.includes('fail?')) continue
      failing.set(node.address, [...(failing.get(node.address) ?? []), address])
    }
  }
  return [
    ...down.map(({ address }) =>
      finding(
        'cluster.down',
        address,
        'cluster_state:fail',
        'see what else is said here of slots and nodes; redis-cli --cluster check <host:port>',
      ),
    ),
    ...[...failing].map(([node, by]) =>
      finding(
        'cluster.node-failing',
        node,
        `not heard of by ${by.join(', ')}`,
        'start it again, or redis-cli --cluster del-node <host:port> <node id> if it is gone for good',
      ),
    ),
  ]
}

function shards(views: readonly View[]): Finding[] {
  const [view] = views
  if (view === undefined) return []
  const alive = view.nodes.filter(({ flags }) => !flags.includes('fail'))
  const masters = alive.filter(({ flags, slots }) => flags.includes('master') && slots.length > 0)
  const covered = masters.flatMap(({ slots }) => slots).reduce((sum, [from, to]) => sum + to - from + 1, 0)
  const single = masters.filter(({ id }) => !alive.some(({ masterId }) => masterId === id))
  const uncovered =
    covered < SLOTS
      ? [
          finding(
            'cluster.uncovered',
            `as ${view.address} sees it`,
            `${SLOTS - covered} of ${SLOTS} slots`,
            'bring their node back, or redis-cli --cluster fix <host:port> to give them to others, empty',
          ),
        ]
      : []
  return [
    ...uncovered,
    ...single.map(({ address, id }) =>
      finding(
        'cluster.no-replica',
        address,
        'no replica',
        `redis-cli --cluster add-node <new host:port> ${address} --cluster-slave --cluster-master-id ${id}`,
      ),
    ),
  ]
}

function coverage(nodes: readonly NodeFacts[]): Finding[] {
  const strict = nodes.filter(({ config }) => config?.get('cluster-require-full-coverage') === 'yes')
  if (strict.length === 0) return []
  const fix =
    'redis-cli --cluster call <host:port> config set cluster-require-full-coverage no, and the same in redis.conf or the parameter group'
  const addresses = strict.map(({ address }) => address).join(', ')
  return [finding('cluster.full-coverage', addresses, 'cluster-require-full-coverage yes', fix)]
}

/** Servers that are no cluster, of which the client, the sentinels and the seeds name several: only one may be a primary. */
export function checkSeeds(nodes: readonly NodeFacts[]): Finding[] {
  const primaries = nodes.filter(({ info }) => info?.get('role') === 'master')
  // One server may go by several names.
  const byServer = new Map(primaries.map(({ address, info }) => [info?.get('run_id') ?? address, address]))
  if (byServer.size < 2) return []
  return [finding('redis.two-primaries', [...byServer.values()].sort().join(' and '), 'each says role:master', DRAIN)]
}
