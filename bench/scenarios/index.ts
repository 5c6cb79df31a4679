import { DURABLE } from '../harness/durable.js'
import type { Scenario } from '../harness/scenario.js'
import { bulkExpiry } from './bulk-expiry.js'
import { celebrity } from './celebrity.js'
import { expiry } from './expiry.js'
import { fleetStampede } from './fleet-stampede.js'
import { hitRatio } from './hit-ratio.js'
import { incidents } from './incidents.js'
import { l1 } from './l1.js'
import { l2 } from './l2.js'
import { layout } from './layout.js'
import { load10x } from './load-10x.js'
import { many } from './many.js'
import { memory } from './memory.js'
import { outage } from './outage.js'
import { propagation } from './propagation.js'
import { scale } from './scale.js'
import { staleSet } from './stale-set.js'
import { stampede } from './stampede.js'
import { telemetry } from './telemetry.js'
import { burstsBeside, throughputBeside, withPeers } from './with-peers.js'
import { WRITE_WARM_ROUNDS, write } from './write.js'
import { writeCost } from './write-cost.js'

const REDIS = {
  kind: 'redis',
  rows: 1_000,
  module: new URL('redis-contenders.ts', import.meta.url),
  raw: 'ioredis',
  by: 'perSecond',
  sliceMs: 200,
} as const

/** All scenarios, in the order of the list that `npm run bench` prints. */
export const SCENARIOS: readonly Scenario[] = [
  withPeers(
    l1,
    ['memory'],
    throughputBeside({
      kind: 'l1',
      rows: 10_000,
      module: new URL('l1-contenders.ts', import.meta.url),
      raw: 'lru-cache',
      workloads: ['sequential', 'sequential zipf', '100 concurrent', '100 concurrent zipf'],
      by: 'perCpuSecond',
      sliceMs: 100,
    }),
  ),
  withPeers(l2, ['redis'], throughputBeside({ ...REDIS, workloads: ['64 in flight', 'one at a time'] })),
  withPeers(many, ['redis'], throughputBeside({ ...REDIS, workloads: ['100 in one call'] })),
  memory,
  withPeers(stampede, ['both', 'redis'], burstsBeside({ processes: 1, reads: 1_000, loadMs: 50 })),
  withPeers(fleetStampede, ['both', 'redis'], burstsBeside({ processes: 8, reads: 500, loadMs: 50 })),
  expiry,
  bulkExpiry,
  staleSet,
  celebrity,
  outage,
  scale,
  load10x,
  hitRatio,
  propagation,
  withPeers(
    write,
    ['both', 'redis'],
    throughputBeside({
      kind: 'write',
      rows: 1_000,
      module: new URL('write-contenders.ts', import.meta.url),
      raw: 'kysely',
      workloads: ['one at a time', '16 at once'],
      by: 'perSecond',
      settings: DURABLE,
      warmRounds: WRITE_WARM_ROUNDS,
      sliceMs: 250,
    }),
  ),
  writeCost,
  layout,
  telemetry,
  incidents,
]
