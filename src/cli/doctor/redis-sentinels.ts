import { openConnection, type RedisClient, whenReady } from '../../adapters/redis/connection.js'
import { reasonOf } from '../reason-of.js'
import { type Finding, finding } from './findings.js'
import { type Patient, within } from './patient.js'
import { clientFacts, type SentinelGroup } from './redis-client.js'
import { DRAIN } from './redis-cluster.js'
import { fieldsOf } from './redis-nodes.js'
import { addressOf, type Place, placeOf } from './redis-places.js'

/** What one sentinel says of the group that the client asks for. */
export interface SentinelFacts {
  readonly address: string
  /** Why it does not answer; everything else is then empty. */
  readonly failure: string | undefined
  /** Where it sends clients to, as `host:port`. Undefined: it watches no group of this name. */
  readonly primary: string | undefined
  /** Of the last failover it has heard of. */
  readonly configEpoch: string | undefined
  /** Why no failover could be decided on now. */
  readonly noQuorum: string | undefined
}

/**
 * Asks every sentinel that the client names, and every one that those name: a set-up that is cut in two has sentinels in both halves,
 * and those of one half name one half only. Undefined for a client that asks no sentinels. Never rejects.
 */
export async function readSentinels(patient: Patient): Promise<SentinelFacts[] | undefined> {
  const client = patient.inside.redis as RedisClient
  const { sentinels: group } = clientFacts(client)
  if (group === undefined) return undefined
  const asked = new Map<string, Promise<Answer>>()
  const ask = (address: string, place: Place) => {
    if (!asked.has(address)) asked.set(address, askSentinel(patient, { client, group, address, place }))
  }
  for (const place of group.places) ask(addressOf(place), place)
  const first = await Promise.all(asked.values())
  const ids = new Set(first.map(({ id }) => id))
  for (const { id, address } of first.flatMap(({ others }) => others)) {
    // The client may know it by another name.
    if (!ids.has(id)) ask(address, placeOf(address, client))
  }
  return (await Promise.all(asked.values())).map(({ facts }) => facts)
}

interface Answer {
  readonly facts: SentinelFacts
  readonly id: string | undefined
  /** Sentinels that it knows. */
  readonly others: readonly { readonly id: string | undefined; readonly address: string }[]
}

async function askSentinel(
  { inside, clock }: Patient,
  { client, group, address, place }: { client: RedisClient; group: SentinelGroup; address: string; place: Place },
): Promise<Answer> {
  const connection = openConnection(client, `corral:${inside.namespace}:doctor`, { ...group.connection, ...place })
  let lastError: unknown
  connection.on('error', (error: unknown) => {
    lastError = error
  })
  const nothing = { primary: undefined, configEpoch: undefined, noQuorum: undefined }
  try {
    await within(clock, whenReady(connection))
    const ask = (...question: string[]) => within(clock, connection.call('sentinel', ...question))
    const id = await ask('MYID').then(String, () => undefined)
    const primary = await ask('GET-MASTER-ADDR-BY-NAME', group.name)
    if (!Array.isArray(primary)) return { id, facts: { address, failure: undefined, ...nothing }, others: [] }
    const master = fieldsOf(await ask('MASTER', group.name))
    const others = [(await ask('SENTINELS', group.name)) ?? []].flat().map(fieldsOf)
    return {
      id,
      facts: {
        ...{ address, failure: undefined, primary: primary.map(String).join(':') },
        configEpoch: master.get('config-epoch'),
        noQuorum: await ask('CKQUORUM', group.name).then(() => undefined, complaintOf),
      },
      others: others.map((other) => ({
        id: other.get('runid'),
        address: `${other.get('ip')}:${other.get('port')}`,
      })),
    }
  } catch (error) {
    return { id: undefined, facts: { address, failure: reasonOf(lastError ?? error), ...nothing }, others: [] }
  } finally {
    connection.disconnect()
  }
}

/** @throws what is no answer to the question. */
function complaintOf(error: unknown): string {
  const said = reasonOf(error)
  if (!said.startsWith('NOQUORUM')) throw error
  return said
}

/** Sentinels that are not of one mind send processes to different servers. */
export function checkSentinels(group: string, sentinels: readonly SentinelFacts[]): Finding[] {
  const silent = sentinels.filter(({ failure }) => failure !== undefined)
  const aware = sentinels.filter(({ primary }) => primary !== undefined)
  const unaware = sentinels.filter(({ failure, primary }) => failure === undefined && primary === undefined)
  return [
    ...mastersThatDiffer(group, aware),
    ...epochsThatDiffer(aware),
    ...silent.map(({ address, failure }) =>
      finding(
        'sentinel.unreachable',
        address,
        failure ?? '',
        `start it; if it is gone for good, leave it out of \`sentinels\`, and have the others forget it: redis-cli -h … -p … sentinel reset ${group}. It was asked with sentinelUsername, sentinelPassword and sentinelTLS`,
      ),
    ),
    ...unaware.map(({ address }) =>
      finding(
        'sentinel.name-unknown',
        address,
        `watches nothing by the name of ${group}`,
        `correct \`name\` in the options of the client, or tell it: redis-cli -h … -p … sentinel monitor ${group} <host> <port> <quorum>`,
      ),
    ),
    ...aware.flatMap(({ address, noQuorum }) =>
      noQuorum === undefined
        ? []
        : [
            finding(
              'sentinel.no-quorum',
              address,
              noQuorum,
              'run three sentinels or more, on machines of their own, with a quorum of two',
            ),
          ],
    ),
  ]
}

function mastersThatDiffer(group: string, sentinels: readonly SentinelFacts[]): Finding[] {
  const namedBy = new Map<string, string[]>()
  for (const { address, primary = '' } of sentinels) namedBy.set(primary, [...(namedBy.get(primary) ?? []), address])
  if (namedBy.size < 2) return []
  const said = [...namedBy].map(([primary, by]) => `${primary} by ${by.join(', ')}`).join('; ')
  const fix = `${DRAIN}; then make the sentinels that were cut off forget it: redis-cli -h … -p … sentinel remove ${group}, and sentinel monitor ${group} <host> <port> <quorum>`
  return [finding('sentinel.masters-differ', `group ${group}`, said, fix)]
}

function epochsThatDiffer(sentinels: readonly SentinelFacts[]): Finding[] {
  if (new Set(sentinels.map(({ configEpoch }) => configEpoch)).size < 2) return []
  const said = sentinels.map(({ address, configEpoch }) => `${address} ${configEpoch}`).join(', ')
  const fix =
    'check that every sentinel reaches the primary, its replicas and every other sentinel: they hear of one another through the channel __sentinel__:hello'
  return [finding('sentinel.epochs-differ', 'config-epoch', said, fix)]
}
