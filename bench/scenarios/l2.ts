import { inPlace } from '../harness/place.js'
import { amountOf, atLeast, ratioOf, type Scenario } from '../harness/scenario.js'
import { measureThroughput, speeds } from '../harness/throughput.js'
import { IN_FLIGHT, KEYS } from './redis-contenders.js'

const CONCURRENT = `${IN_FLIGHT} in flight`

/** A row in Redis, with the tier in memory turned off: `find` against a plain GET and JSON.parse of the same row. */
export const l2: Scenario = {
  name: 'l2',
  title: `hits in Redis of 1 KB rows, ${CONCURRENT}; raw: ioredis GET and JSON.parse`,
  unit: 'reads/s',
  run: (setting) =>
    inPlace({ rows: KEYS }, async (place) => {
      const throughput = await measureThroughput({
        place,
        setting,
        module: new URL('redis-contenders.ts', import.meta.url),
        contenders: ['corral', 'corral, decoding', 'ioredis'],
        workloads: [CONCURRENT, 'one at a time'],
        crews: amountOf({ quick: 2, least: 3, full: 5 }, setting),
        rounds: amountOf({ quick: 7, least: 7, full: 12 }, setting),
        sliceMs: setting.quick ? 150 : 250,
      })
      const concurrent = speeds(throughput, CONCURRENT, 'perSecond', 'ioredis')
      const single = speeds(throughput, 'one at a time', 'perSecond', 'ioredis')
      const byProcessor = speeds(throughput, CONCURRENT, 'perCpuSecond', 'ioredis')
      return {
        comparisons: [concurrent, single],
        targets: [atLeast(`${CONCURRENT}, corral / ioredis`, 2, ratioOf(concurrent, 'corral') ?? 0)],
        remarks: [
          `${CONCURRENT}, reads per second of processor time: corral / ioredis ${ratioOf(byProcessor, 'corral')?.toFixed(2)}`,
        ],
      }
    }),
}
