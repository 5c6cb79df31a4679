import { type Connections, connect } from '../harness/connect.js'
import { DEADLINE_MS } from '../harness/patience.js'
import { firstTiers, openPeer, PEERS } from '../harness/peers.js'
import type { Place } from '../harness/place.js'
import type { Contender, Contenders } from '../harness/throughput.js'
import type { OpenPeer, Tiers } from '../peers/peer.js'
import { KEYS as L1_KEYS, workloadsOf as l1Workloads } from './l1-contenders.js'
import { MANY, KEYS as REDIS_KEYS, workloadsOf as redisWorkloads } from './redis-contenders.js'
import { KEYS as WRITE_KEYS, workloadsOf as writeWorkloads } from './write-contenders.js'

/** Longer than anything is measured, so that what is measured are hits. */
const FRESH_MS = 3_600_000

type Opened = { readonly peer: OpenPeer; readonly connections: Connections }

/** Names of the contenders here: the scenario, and the peer. */
export function peerContender(scenario: 'l1' | 'redis' | 'write', peer: string): string {
  return `${scenario} ${peer}`
}

/** The peers in the scenarios that measure throughput, doing what Corral and the raw line do there. */
export const contenders: Contenders = Object.fromEntries(
  PEERS.flatMap((name) => [
    [peerContender('l1', name), (place: Place) => openL1(name, place)],
    [peerContender('redis', name), (place: Place) => openRedis(name, place)],
    [peerContender('write', name), (place: Place) => openWrite(name, place)],
  ]),
)

async function openL1(name: string, place: Place): Promise<Contender> {
  const opened = await open(name, place, ['memory'])
  await readAll(opened, L1_KEYS)
  return contender(opened, l1Workloads(hitsOnly(opened)))
}

async function openRedis(name: string, place: Place): Promise<Contender> {
  const opened = await open(name, place, ['redis'])
  await readAll(opened, REDIS_KEYS)
  const { peer } = opened
  const getMany = peer.getMany?.bind(peer) ?? ((ids: readonly number[]) => Promise.all(ids.map((id) => peer.get(id))))
  return contender(opened, redisWorkloads(hitsOnly(opened), getMany))
}

async function openWrite(name: string, place: Place): Promise<Contender> {
  const opened = await open(name, place, ['both', 'redis'])
  await readAll(opened, WRITE_KEYS)
  const { db } = opened.connections
  const update = async (id: number, stock: number) => {
    const row = await db.updateTable('products').set({ stock }).where('id', '=', id).returningAll().executeTakeFirst()
    await opened.peer.invalidate(id)
    return row
  }
  return contender(opened, writeWorkloads(update))
}

async function open(name: string, place: Place, wanted: readonly Tiers[]): Promise<Opened> {
  const tiers = await firstTiers(name, wanted)
  if (tiers === undefined) throw new Error(`${name} cannot be set up with ${wanted.join(' or ')}`)
  const connections = connect(place)
  const { db } = connections
  const peer = await openPeer(name, {
    redisUrl: place.redisUrl,
    namespace: `${place.namespace}-${name}-${tiers}`,
    freshMs: FRESH_MS,
    refreshMs: 0,
    tiers,
    deadlineMs: DEADLINE_MS,
    load: (id) => db.selectFrom('products').selectAll().where('id', '=', id).executeTakeFirst(),
    loadMany: (ids) => db.selectFrom('products').selectAll().where('id', 'in', ids).execute(),
  })
  return { peer, connections }
}

async function readAll({ peer, connections }: Opened, keys: number): Promise<void> {
  for (let at = 0; at < keys; at += MANY) {
    await Promise.all(Array.from({ length: MANY }, (_, index) => peer.get(at + index + 1)))
  }
  // Some store what they have read after they have answered.
  await new Promise((resolve) => setTimeout(resolve, 200))
  connections.loads.length = 0
}

/** Fails on a read that went to the database: a fast miss must not pass for a hit. */
function hitsOnly({ peer, connections }: Opened): (id: number) => Promise<unknown> {
  return (id) => {
    if (connections.loads.length > 0) throw new Error('a read that should have been a hit went to the database')
    return peer.get(id)
  }
}

function contender({ peer, connections }: Opened, workloads: Contender['workloads']): Contender {
  return {
    workloads,
    close: async () => {
      await peer.close()
      await connections.close()
    },
  }
}
