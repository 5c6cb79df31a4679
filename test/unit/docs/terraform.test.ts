import { expect, it } from 'vitest'
import { checkServer } from '../../../src/cli/doctor/redis-server.js'
import { DEFAULTS } from '../../../src/config.js'
import { terraformArguments, terraformParameters } from '../../support/terraform-example.js'

const group = terraformArguments('aws_elasticache_replication_group')

it('the example sets what the doctor asks of a server', () => {
  const parameters = terraformParameters()
  // test/integration/cli/doctor-cluster.test.ts runs a real cluster with the same.
  expect(Object.keys(parameters).sort()).toEqual([
    'cluster-enabled',
    'cluster-require-full-coverage',
    'maxmemory-policy',
    'min-replicas-max-lag',
    'min-replicas-to-write',
  ])
  const check = (config: Readonly<Record<string, string>>) =>
    checkServer(
      {
        ...{
          address: 'a:1',
          isSeed: false,
          failure: undefined,
          user: undefined,
          clusterInfo: undefined,
          clusterNodes: undefined,
        },
        ...{ skewMs: 0, skewErrorMs: 0, roundTripMs: 1 },
        info: new Map([
          ['redis_version', '7.2.4'],
          ['connected_slaves', group.replicas_per_node_group as string],
        ]),
        // What the service sets by itself, and lets nobody change.
        config: new Map(Object.entries({ maxmemory: '5000000000', save: '', appendonly: 'no', ...config })),
      },
      true,
      DEFAULTS,
    ).map(({ id }) => id)
  expect(check(parameters)).toEqual([])
  // Without them it would find something.
  expect(check({ 'maxmemory-policy': 'noeviction', 'min-replicas-to-write': '0' })).toEqual([
    'redis.eviction',
    'redis.min-replicas',
  ])
})

it.each([
  ['cluster.no-replica', () => Number(group.replicas_per_node_group) > 0],
  ['cluster.uncovered', () => Number(group.num_node_groups) >= 3 && group.automatic_failover_enabled === 'true'],
  ['redis.persistence', () => group.snapshot_retention_limit === '0'],
  ['redis.version', () => Number(group.engine_version?.replaceAll('"', '')) >= 7],
  [
    'client.no-tls',
    () => group.transit_encryption_enabled === 'true' && group.transit_encryption_mode === '"required"',
  ],
  ['redis.no-password', () => group.user_group_ids === '[aws_elasticache_user_group.cache.user_group_id]'],
  [
    'redis.broad-rights',
    () => terraformArguments('aws_elasticache_user_group').user_ids === '[aws_elasticache_user.corral.user_id]',
  ],
])('and what keeps it from finding %s', (_, isSet) => {
  expect(isSet()).toBe(true)
})
