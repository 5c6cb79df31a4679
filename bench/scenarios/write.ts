import { DURABLE } from '../harness/durable.js'
import { inPlace } from '../harness/place.js'
import { amountOf, atLeast, ratioOf, type Scenario } from '../harness/scenario.js'
import { measureThroughput, speeds } from '../harness/throughput.js'
import { KEYS, LEAST, WRITERS } from './write-contenders.js'

/** Until the compilers are done with it: a write goes through some hundred functions, and each of them is compiled when it has been called often. */
export const WRITE_WARM_ROUNDS = { quick: 1, least: 6, full: 12 }

const CONCURRENT = `${WRITERS} at once`

/** What a write costs that is followed by a fence and a message to the other processes. */
export const write: Scenario = {
  name: 'write',
  title: 'an update of one row by its key; raw: the same UPDATE through Kysely, on the same stamped table',
  unit: 'updates/s',
  run: (setting) =>
    inPlace({ rows: KEYS, settings: DURABLE }, async (place) => {
      const throughput = await measureThroughput({
        place,
        setting,
        module: new URL('write-contenders.ts', import.meta.url),
        contenders: ['corral', LEAST, 'kysely'],
        workloads: ['one at a time', CONCURRENT],
        crews: amountOf({ quick: 2, least: 2, full: 4 }, setting),
        rounds: amountOf({ quick: 6, least: 6, full: 12 }, setting),
        warmRounds: amountOf(WRITE_WARM_ROUNDS, setting),
        sliceMs: 250,
      })
      const single = speeds(throughput, 'one at a time', 'perSecond', 'kysely')
      const concurrent = speeds(throughput, CONCURRENT, 'perSecond', 'kysely')
      return {
        comparisons: [single, concurrent],
        targets: [
          atLeast('one at a time, corral / kysely', 0.7, ratioOf(single, 'corral') ?? 0),
          atLeast(`${CONCURRENT}, corral / kysely`, 0.7, ratioOf(concurrent, 'corral') ?? 0),
        ],
      }
    }),
}
