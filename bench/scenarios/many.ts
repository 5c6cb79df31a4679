import { inPlace } from '../harness/place.js'
import { amountOf, atLeast, ratioOf, type Scenario } from '../harness/scenario.js'
import { measureThroughput, speeds } from '../harness/throughput.js'
import { KEYS, MANY } from './redis-contenders.js'

const WORKLOAD = `${MANY} in one call`

/** Many rows at once from Redis: `findMany` against MGET and JSON.parse of the same rows. */
export const many: Scenario = {
  name: 'many',
  title: `hits in Redis of 1 KB rows, ${WORKLOAD}; raw: ioredis MGET and JSON.parse`,
  unit: 'rows/s',
  run: (setting) =>
    inPlace({ rows: KEYS }, async (place) => {
      const throughput = await measureThroughput({
        place,
        setting,
        module: new URL('redis-contenders.ts', import.meta.url),
        contenders: ['corral', 'corral, decoding', 'ioredis'],
        workloads: [WORKLOAD],
        crews: amountOf({ quick: 2, least: 3, full: 5 }, setting),
        rounds: amountOf({ quick: 9, least: 8, full: 15 }, setting),
        sliceMs: setting.quick ? 200 : 250,
      })
      const rows = speeds(throughput, WORKLOAD, 'perSecond', 'ioredis')
      const byProcessor = speeds(throughput, WORKLOAD, 'perCpuSecond', 'ioredis')
      return {
        comparisons: [rows],
        targets: [atLeast(`${WORKLOAD}, corral / ioredis`, 1, ratioOf(rows, 'corral') ?? 0)],
        remarks: [`rows per second of processor time: corral / ioredis ${ratioOf(byProcessor, 'corral')?.toFixed(2)}`],
      }
    }),
}
