import { inPlace } from '../harness/place.js'
import { amountOf, atLeast, ratioOf, type Scenario } from '../harness/scenario.js'
import { measureThroughput, speeds } from '../harness/throughput.js'
import { IN_FLIGHT } from './telemetry-contenders.js'

const FAR = `in Redis, ${IN_FLIGHT} in flight`

/** What it costs to be watched: without an SDK, with metrics, with metrics and every trace; against `telemetry: false`. */
export const telemetry: Scenario = {
  name: 'telemetry',
  title: 'hits with `telemetry: false`, without an OpenTelemetry SDK, with metrics, with metrics and traces',
  unit: 'reads per second of processor time',
  run: (setting) =>
    inPlace({ rows: 1_000 }, async (place) => {
      const throughput = await measureThroughput({
        place,
        setting,
        module: new URL('telemetry-contenders.ts', import.meta.url),
        contenders: ['off', 'no SDK', 'metrics', 'metrics and traces'],
        workloads: ['in memory', FAR],
        crews: amountOf({ quick: 2, least: 2, full: 5 }, setting),
        rounds: amountOf({ quick: 5, least: 5, full: 9 }, setting),
        sliceMs: setting.quick ? 100 : 150,
      })
      const near = speeds(throughput, 'in memory', 'perCpuSecond', 'off')
      const far = speeds(throughput, FAR, 'perCpuSecond', 'off')
      return {
        comparisons: [near, far],
        targets: [
          atLeast('in memory, no SDK / off', 0.95, ratioOf(near, 'no SDK') ?? 0),
          atLeast('in memory, metrics / off', 0.95, ratioOf(near, 'metrics') ?? 0),
        ],
      }
    }),
}
