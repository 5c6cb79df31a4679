import { Redis } from 'ioredis'
import { inPlace } from '../harness/place.js'
import { amountOf, type Scenario } from '../harness/scenario.js'
import { measureThroughput, speeds } from '../harness/throughput.js'
import { contenders } from './layout-contenders.js'

const WORKLOAD = '64 in flight'

/** How an entry should lie in Redis: a string with its guard beside it, or everything in one hash. */
export const layout: Scenario = {
  name: 'layout',
  title: 'reading 1 KB entries with 64 readers in flight, by layout; raw: a GET for each read',
  unit: 'reads/s',
  run: (setting) =>
    inPlace({ rows: 1 }, async (place) => {
      const throughput = await measureThroughput({
        place,
        setting,
        module: new URL('layout-contenders.ts', import.meta.url),
        contenders: Object.keys(contenders),
        workloads: [WORKLOAD],
        crews: amountOf({ quick: 2, least: 2, full: 4 }, setting),
        rounds: amountOf({ quick: 5, least: 5, full: 8 }, setting),
        sliceMs: setting.quick ? 150 : 250,
      })
      const cpu = Object.entries(throughput[WORKLOAD] ?? {}).map(
        ([name, { perCpuSecond }]) =>
          `${name}: ${(1e6 / perCpuSecond.median).toFixed(1)} us of this process' processor time a read`,
      )
      return {
        comparisons: [speeds(throughput, WORKLOAD, 'perSecond', 'string, GET each')],
        targets: [],
        remarks: [...cpu, ...(await memory(place.redisUrl))],
      }
    }),
}

async function memory(redisUrl: string): Promise<string[]> {
  const redis = new Redis(redisUrl)
  try {
    await redis.hset('g:{products/1}', { f: '00001795207238308940', l: 'AAAAAAAAAAAAAAAA', le: '1795207238308' })
    const keys = {
      'string entry': 's:{products/1}',
      'hash entry': 'h:{products/1}',
      'guard beside a string': 'g:{products/1}',
    }
    const sizes = Object.entries(keys).map(
      async ([what, key]) => `${what}: ${await redis.memory('USAGE', key)} bytes in Redis`,
    )
    return await Promise.all(sizes)
  } finally {
    redis.disconnect()
  }
}
