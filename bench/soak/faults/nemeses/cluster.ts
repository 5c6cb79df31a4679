import { setTimeout as sleep } from 'node:timers/promises'
import { machineMs } from '../../../../src/core/clock.js'
import { redisCommand } from '../../../../test/support/servers/redis-command.js'
import { moveSlots } from '../../../../test/support/servers/reshard.js'
import type { RedisClusterServers } from '../cache-servers.js'
import type { Nemesis } from '../nemesis.js'
import type { Stage } from '../stage.js'

const RESHARDED = 1_000

/** What happens to a cluster while it is used. */
export const clusterNemeses: readonly Nemesis[] = [
  {
    name: 'master-killed',
    does: 'SIGKILL to a master; its replica takes over, and it comes back as a replica',
    lane: 'servers',
    where: 'cluster',
    isAlone: true,
    strike: (stage) =>
      failOver(stage, 'master-killed', async ({ master }) => {
        await master.kill()
        await sleep(4_000)
        await master.restart()
      }),
  },
  {
    name: 'master-frozen',
    does: 'SIGSTOP to a master for 4 s, longer than the cluster waits for it; then it goes on, replaced, and does not know it yet',
    lane: 'servers',
    where: 'cluster',
    isAlone: true,
    strike: (stage) =>
      failOver(stage, 'master-frozen', async ({ master }) => {
        await master.freeze()
        await sleep(4_000)
        await master.thaw()
      }),
  },
  {
    name: 'takeover',
    does: 'CLUSTER FAILOVER TAKEOVER: a replica takes over without asking anybody',
    lane: 'servers',
    where: 'cluster',
    isAlone: true,
    strike: (stage) =>
      failOver(stage, 'takeover', async ({ replica }) => {
        await redisCommand(replica.port, 'CLUSTER', 'FAILOVER', 'TAKEOVER')
        await sleep(1_000)
      }),
  },
  {
    name: 'handover',
    does: 'CLUSTER FAILOVER: master and replica change places in good order',
    lane: 'servers',
    where: 'cluster',
    isAlone: true,
    strike: (stage) =>
      failOver(stage, 'handover', async ({ replica }) => {
        await redisCommand(replica.port, 'CLUSTER', 'FAILOVER')
        await sleep(1_000)
      }),
  },
  {
    name: 'resharding',
    does: `${RESHARDED} slots move from one master to another, key by key, while they are used`,
    lane: 'servers',
    where: 'cluster',
    async strike(stage) {
      const cache = clusterOf(stage)
      await cache.untilWell()
      const masters = (await cache.roles()).filter(({ isMaster }) => isMaster).map(({ server }) => server)
      const from = stage.pick(masters)
      const to = stage.pick(masters.filter((server) => server !== from))
      await moveSlots({ nodes: cache.nodes.map(({ port }) => port), from: from.port, to: to.port, count: RESHARDED })
    },
  },
]

function clusterOf({ cache }: Stage): RedisClusterServers {
  return cache as RedisClusterServers
}

async function failOver(
  stage: Stage,
  what: string,
  strike: (pair: Awaited<ReturnType<RedisClusterServers['pair']>>) => Promise<void>,
): Promise<void> {
  const cache = clusterOf(stage)
  await cache.untilWell()
  const pair = await cache.pair((items) => stage.pick(items))
  const window = { what, startedMs: machineMs(), healedMs: Number.POSITIVE_INFINITY }
  stage.windows.push(window)
  await strike(pair)
  await cache.untilWell()
  window.healedMs = machineMs()
}
