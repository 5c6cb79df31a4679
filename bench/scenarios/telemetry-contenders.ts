import { context } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { MeterProvider, PeriodicExportingMetricReader, type PushMetricExporter } from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, BatchSpanProcessor, type SpanExporter } from '@opentelemetry/sdk-trace-base'
import type { CorralOptions } from '../../src/index.js'
import { connect } from '../harness/connect.js'
import { oneAfterAnother, sideBySide } from '../harness/loops.js'
import { PATIENT } from '../harness/patience.js'
import { openCorral, type Shop } from '../harness/shop.js'
import type { Contender, Contenders } from '../harness/throughput.js'

export const IN_FLIGHT = 64
const KEYS = 1_000
const ONE_KEY = Uint32Array.of(42)
const IDS = Uint32Array.from({ length: 1_024 }, (_, at) => ((at * 7) % KEYS) + 1)
const ALL_KEYS = Array.from({ length: KEYS }, (_, index) => index + 1)

/** A hit costs the same with these; but on a busy machine filling must not fail, nor may a row's copy age out within a slice. */
const LASTING = { ...PATIENT, ttl: { freshMs: 3_600_000 } }

type Telemetry = CorralOptions<Shop>['telemetry']

/** What is measured is what it takes to record; where it goes is another matter. */
const DISCARDED = {
  export: (_: unknown, done: (result: { code: number }) => void) => done({ code: 0 }),
  forceFlush: async () => {},
  shutdown: async () => {},
}

function metrics() {
  const exporter = DISCARDED as PushMetricExporter
  return new MeterProvider({ readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 1_000 })] })
}

function traces() {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  return new BasicTracerProvider({ spanProcessors: [new BatchSpanProcessor(DISCARDED as SpanExporter)] })
}

/** Corral with different ears: rows in memory through one instance, rows in Redis through another. */
export const contenders: Contenders = {
  off: contender(() => false),
  'no SDK': contender(() => true),
  metrics: contender(() => ({ meterProvider: metrics() })),
  'metrics and traces': contender(() => ({ meterProvider: metrics(), tracerProvider: traces() })),
}

function contender(telemetryOf: () => Telemetry): Contenders[string] {
  return async (place): Promise<Contender> => {
    const connections = connect(place)
    const { db, redis } = connections
    const telemetry = telemetryOf() as NonNullable<Telemetry>
    const options = { db, redis, namespace: place.namespace, telemetry, ...LASTING }
    const near = openCorral({ ...options, l1: { maxAgeMs: 60_000 } })
    const far = openCorral({ ...options, l1: { maxEntries: 0 } })
    return {
      workloads: {
        'in memory': (times) => oneAfterAnother((id) => near.products.find(id), ONE_KEY, times),
        [`in Redis, ${IN_FLIGHT} in flight`]: (times) =>
          sideBySide((id) => far.products.find(id), IDS, times, IN_FLIGHT),
      },
      prepare: async () => {
        for (let pass = 0; ALL_KEYS.some((id) => near.products.peek(id) === undefined); pass++) {
          if (pass === 20) throw new Error('not all rows came to lie in memory')
          await near.products.findMany(ALL_KEYS)
          // A row is kept in memory when Redis has acknowledged it, which is after its reader has it.
          await new Promise((resolve) => setTimeout(resolve, 20))
        }
      },
      close: async () => {
        await Promise.all([near.corral.close(), far.corral.close()])
        await connections.close()
      },
    }
  }
}
