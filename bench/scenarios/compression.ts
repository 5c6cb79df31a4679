import { openPlace } from '../harness/place.js'
import { atMost, type Comparison, type Scenario } from '../harness/scenario.js'
import { measureThroughput, speeds } from '../harness/throughput.js'
import { fillOf, payloadOf, readOf, SIZES, WAYS } from './compression-contenders.js'

/** The way that `adapters/codec/compressed-payload` takes. */
const OURS = 'deflate 1'

/** What to compress large entries with, and from what size on: processor time of fills and reads against bytes. */
export const compression: Scenario = {
  name: 'compression',
  title: 'compressing a payload (fill), and expanding and parsing one (read); raw: parsing it as it is',
  unit: 'times per second of processor time',
  async run(setting) {
    const place = await openPlace({ rows: 1 })
    try {
      const throughput = await measureThroughput({
        place,
        setting,
        module: new URL('compression-contenders.ts', import.meta.url),
        contenders: Object.keys(WAYS),
        workloads: SIZES.flatMap((size) => [readOf(size), fillOf(size)]),
        crews: setting.quick ? 1 : 3,
        rounds: setting.quick ? 3 : 6,
        sliceMs: setting.quick ? 60 : 150,
      })
      const reads = SIZES.map((size) => speeds(throughput, readOf(size), 'perCpuSecond', 'as it is'))
      const microseconds = (workload: string, name: string) =>
        1e6 / (throughput[workload]?.[name]?.perCpuSecond.median ?? Number.NaN)
      const remarks = SIZES.flatMap((size) => {
        const payload = payloadOf(size)
        return Object.entries(WAYS).map(([name, { compress }]) => {
          const share = ((100 * compress(payload).length) / payload.length).toFixed(0)
          const [fill, read] = [fillOf(size), readOf(size)].map((each) => microseconds(each, name).toFixed(0))
          return `${size / 1024} KiB, ${name}: ${share} % of the bytes, a fill ${fill} us, a read ${read} us`
        })
      })
      const at16 = readOf(16 * 1024)
      return {
        comparisons: reads as [Comparison, ...Comparison[]],
        targets: [
          atMost(
            'a read of 16 KiB, compressed / as it is',
            2,
            microseconds(at16, OURS) / microseconds(at16, 'as it is'),
          ),
        ],
        remarks,
      }
    } finally {
      await place.close()
    }
  },
}
