import { openConnection, type RedisClient, type RedisConnection, whenReady } from '../../adapters/redis/connection.js'
import type { Clock } from '../../core/clock.js'
import { reasonOf } from '../reason-of.js'
import { type Patient, within } from './patient.js'
import { clientFacts } from './redis-client.js'
import { addressOf, placeOf } from './redis-places.js'

/** A connection to one Redis server, which whoever opened it disconnects. */
export interface RedisNode {
  /** `host:port`; of the one server what the client is told to connect to. */
  readonly address: string
  readonly connection: RedisConnection
  /** Not known but by `--seed`: the application is not told to connect there. */
  readonly isSeed: boolean
  /** What ioredis has said last of why it is not connected. */
  readonly lastError: () => unknown
}

/** What one server says of itself. Undefined: this user may not ask. */
export interface NodeFacts extends Pick<RedisNode, 'address' | 'isSeed'> {
  /** Why it does not answer; everything else is then empty. */
  readonly failure: string | undefined
  readonly info: ReadonlyMap<string, string> | undefined
  readonly config: ReadonlyMap<string, string> | undefined
  readonly user: UserFacts | undefined
  /** Its clock less that of this host, and by how much this may be wrong. */
  readonly skewMs: number | undefined
  readonly skewErrorMs: number
  /** Of the quickest of several. */
  readonly roundTripMs: number
  /** Cluster: what it says of the others. */
  readonly clusterInfo: ReadonlyMap<string, string> | undefined
  readonly clusterNodes: string | undefined
}

export interface UserFacts {
  readonly name: string
  /** Whoever connects and says nothing is let in. */
  readonly isOpen: boolean
  readonly hasNoPassword: boolean
  /** All commands on all keys. */
  readonly mayDoAll: boolean
}

const ROUNDS = 5
const CONFIGS = [
  'maxmemory',
  'maxmemory-policy',
  'save',
  'appendonly',
  'min-replicas-to-write',
  'min-replicas-max-lag',
  'maxclients',
  'cluster-require-full-coverage',
]

/** Not by way of sentinels, nor by a socket of this machine: at this very place. */
const DIRECTLY = { sentinels: null, path: null }
const UNENCRYPTED = { tls: undefined }

/**
 * The application's own connection, and one to every server that is known: of a cluster all start-up nodes, and all nodes that any
 * of them names. A cluster that is cut in two names only one half, whichever is asked.
 *
 * @param primaries where sentinels send clients to. Default: the client is left to find its server.
 */
export async function openNodes(
  patient: Patient,
  primaries?: readonly string[],
): Promise<{ nodes: RedisNode[]; own: RedisConnection }> {
  const { inside, clock, seeds, admin } = patient
  const client = inside.redis as RedisClient
  const name = `corral:${inside.namespace}:doctor`
  const own = openConnection(client, name)
  const met = new Map<string, RedisClient>()
  // The start-up nodes are among them only for a moment; each can be copied, with all its options, long after.
  own.on('+node', (node: NodeClient) => met.set(nameOf(node), node))
  await within(clock, whenReady(own)).catch(() => {})
  const extra = admin === undefined ? {} : { username: admin.username, password: admin.password }
  const opened = new Map<string, RedisNode>()
  const open = (from: RedisClient, address: string, where: object, isSeed = false) => {
    if (opened.has(address)) return
    const connection = openConnection(from, name, { ...where, ...extra })
    let last: unknown
    connection.on('error', (error: unknown) => {
      last = error
    })
    opened.set(address, { address, connection, isSeed, lastError: () => last })
  }
  for (const [address, node] of met) open(node, address, {})
  // As the client goes to where sentinels send it: it may have options for TLS that it does not heed there.
  const manner = { ...DIRECTLY, ...(primaries && clientFacts(client).tls === 'none' ? UNENCRYPTED : {}) }
  const from: RedisClient | undefined = client.isCluster ? [...met.values()][0] : client
  const openAt = (address: string, isSeed = false) => {
    if (from !== undefined) open(from, address, { ...manner, ...placeOf(address, client) }, isSeed)
  }
  if (!client.isCluster && primaries === undefined) open(client, nameOf(own as unknown as NodeClient), {})
  for (const address of primaries ?? []) openAt(address)
  for (const seed of seeds) openAt(seed, true)
  if (client.isCluster && from !== undefined) {
    const told = await Promise.all([...opened.values()].map((node) => addressesTold(node, clock)))
    // One that the client reaches by another way is known already by that.
    for (const address of told.flat()) if (!opened.has(addressOf(placeOf(address, client)))) openAt(address)
  }
  return { nodes: [...opened.values()], own }
}

type NodeClient = RedisClient & { readonly options: { readonly host?: string; readonly port?: number } }

function nameOf({ options: { host = 'localhost', port = 6379 } }: NodeClient): string {
  return addressOf({ host, port })
}

async function addressesTold({ connection }: RedisNode, clock: Clock): Promise<string[]> {
  const ask = async () => {
    await whenReady(connection)
    return String(await connection.call('cluster', 'NODES'))
  }
  const text = await within(clock, ask()).catch(() => '')
  return parseClusterNodes(text).flatMap(({ address }) => (address.startsWith(':') ? [] : [address]))
}

export interface ClusterNode {
  readonly id: string
  readonly address: string
  readonly flags: readonly string[]
  readonly masterId: string | undefined
  readonly configEpoch: number
  /** Ranges, ends included. */
  readonly slots: readonly (readonly [from: number, to: number])[]
}

/** The answer to CLUSTER NODES, a line for each node. */
export function parseClusterNodes(text: string): ClusterNode[] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [id = '', place = '', flags = '', master = '-', , , epoch = '0', , ...slots] = line.trim().split(' ')
      const ranges = slots.filter((part) => !part.startsWith('['))
      return {
        id,
        address: place.replace(/[@,].*$/, ''),
        flags: flags.split(','),
        masterId: master === '-' ? undefined : master,
        configEpoch: Number(epoch),
        slots: ranges.map((range) => {
          const [from, to = from] = range.split('-').map(Number)
          return [from as number, to as number] as const
        }),
      }
    })
}

/** Everything that is asked of one server. Never rejects. */
export async function readNode(
  { address, isSeed, connection, lastError }: RedisNode,
  options: { readonly isCluster: boolean; readonly username: string; readonly clock: Clock },
): Promise<NodeFacts> {
  const { isCluster, clock } = options
  const nothing = {
    info: undefined,
    config: undefined,
    user: undefined,
    skewMs: undefined,
    skewErrorMs: 0,
    roundTripMs: 0,
  }
  try {
    await within(clock, whenReady(connection))
    const ask = (command: Lowercase<string>, ...values: string[]) => within(clock, connection.call(command, ...values))
    const allowed = <Value>(answer: Promise<Value>) =>
      answer.catch((error) => (isRefusal(error) ? undefined : Promise.reject(error)))
    const time = await readTime(connection, clock)
    const info = await allowed(ask('info'))
    const config = await allowed(Promise.all(CONFIGS.map((name) => ask('config', 'GET', name))))
    return {
      ...{ address, isSeed, failure: undefined, ...time },
      info: info === undefined ? undefined : pairsOf(String(info)),
      config: config && new Map(config.map((pair, at) => [CONFIGS[at] as string, settingOf(pair)])),
      user: await allowed(readUser(ask, options.username)),
      clusterInfo: isCluster ? await allowed(ask('cluster', 'INFO').then((text) => pairsOf(String(text)))) : undefined,
      clusterNodes: isCluster ? await allowed(ask('cluster', 'NODES').then(String)) : undefined,
    }
  } catch (error) {
    const none = { clusterInfo: undefined, clusterNodes: undefined }
    return { address, isSeed, failure: reasonOf(lastError() ?? error), ...nothing, ...none }
  }
}

async function readTime(connection: RedisConnection, clock: Clock) {
  let best = { skewMs: 0, skewErrorMs: Number.POSITIVE_INFINITY, roundTripMs: Number.POSITIVE_INFINITY }
  for (let round = 0; round < ROUNDS; round++) {
    const sentMs = clock.monotonicMs()
    const sentWallMs = clock.wallMs()
    const [seconds, micros] = await within(clock, connection.time())
    const roundTripMs = clock.monotonicMs() - sentMs
    if (roundTripMs >= best.roundTripMs) continue
    const serverMs = Number(seconds) * 1_000 + Number(micros) / 1_000
    best = { skewMs: serverMs - (sentWallMs + roundTripMs / 2), skewErrorMs: roundTripMs / 2, roundTripMs }
  }
  return best
}

/** @param name the application's user, whoever asks. */
async function readUser(
  ask: (command: Lowercase<string>, ...values: string[]) => Promise<unknown>,
  name: string,
): Promise<UserFacts> {
  const [own, others] = await Promise.all(
    [name, 'default'].map(async (user) => fieldsOf(await ask('acl', 'GETUSER', user))),
  )
  const rights = own as ReadonlyMap<string, string>
  const commands = rights.get('commands') ?? ''
  const mayRunAll = commands.startsWith('+@all') && !commands.includes(' -')
  const flags = others?.get('flags') ?? ''
  return {
    name,
    isOpen: flags.includes('nopass') && !flags.includes('off'),
    hasNoPassword: (rights.get('flags') ?? '').includes('nopass'),
    mayDoAll: mayRunAll && (rights.get('keys') ?? '').split(' ').includes('~*'),
  }
}

/** ACL GETUSER, SENTINEL and the like answer with a list of names and values in RESP2, and may answer with a map in RESP3. */
export function fieldsOf(answer: unknown): ReadonlyMap<string, string> {
  const list = Array.isArray(answer) ? answer : Object.entries((answer ?? {}) as object).flat()
  const fields = new Map<string, string>()
  for (let at = 0; at < list.length; at += 2)
    fields.set(String(list[at]), [list[at + 1] ?? []].flat().map(String).join(' '))
  return fields
}

/** Not allowed, renamed away by the provider, or not known to it. */
function isRefusal(error: unknown): boolean {
  return /^(NOPERM|ERR unknown (sub)?command|ERR .*not allowed|ERR unsupported)/i.test(reasonOf(error))
}

function pairsOf(text: string): Map<string, string> {
  const lines = text.split(/\r?\n/).filter((line) => line.includes(':') && !line.startsWith('#'))
  return new Map(lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]))
}

/** CONFIG GET answers with a list in RESP2 and may answer with a map in RESP3. */
function settingOf(pair: unknown): string {
  if (Array.isArray(pair)) return String(pair[1] ?? '')
  return String(Object.values((pair ?? {}) as object)[0] ?? '')
}
