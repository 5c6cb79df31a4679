import { inPlace } from '../harness/place.js'
import { amountOf, atLeast, ratioOf, type Scenario } from '../harness/scenario.js'
import { measureThroughput, speeds } from '../harness/throughput.js'
import { KEYS } from './l1-contenders.js'

/** A row this process holds: `find` against lru-cache and Map, each behind an async function. */
export const l1: Scenario = {
  name: 'l1',
  title: `hits in this process' memory, one key and zipf 0.99 over ${KEYS} keys; raw: lru-cache behind an async function`,
  unit: 'reads per second of processor time',
  run: (setting) =>
    inPlace({ rows: KEYS }, async (place) => {
      const throughput = await measureThroughput({
        place,
        setting,
        module: new URL('l1-contenders.ts', import.meta.url),
        contenders: ['corral', 'lru-cache', 'Map'],
        workloads: ['sequential', 'sequential zipf', '100 concurrent', '100 concurrent zipf'],
        crews: amountOf({ quick: 2, least: 3, full: 5 }, setting),
        rounds: amountOf({ quick: 5, least: 5, full: 9 }, setting),
        sliceMs: setting.quick ? 100 : 150,
      })
      const sequential = speeds(throughput, 'sequential', 'perCpuSecond', 'lru-cache')
      const zipf = speeds(throughput, 'sequential zipf', 'perCpuSecond', 'lru-cache')
      const concurrent = speeds(throughput, '100 concurrent', 'perCpuSecond', 'lru-cache')
      const concurrentZipf = speeds(throughput, '100 concurrent zipf', 'perCpuSecond', 'lru-cache')
      return {
        comparisons: [sequential, zipf, concurrent, concurrentZipf],
        targets: [
          atLeast('sequential, corral / lru-cache', 0.75, ratioOf(sequential, 'corral') ?? 0),
          atLeast('sequential zipf, corral / lru-cache', 0.8, ratioOf(zipf, 'corral') ?? 0),
          atLeast('100 concurrent, corral / lru-cache', 0.75, ratioOf(concurrent, 'corral') ?? 0),
          atLeast('100 concurrent zipf, corral / lru-cache', 0.8, ratioOf(concurrentZipf, 'corral') ?? 0),
        ],
      }
    }),
}
