import { type Attributes, context } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import { onTestFinished } from 'vitest'
import type { TelemetryOptions } from '../../src/index.js'

class OnDemandReader extends MetricReader {
  protected override async onForceFlush(): Promise<void> {}
  protected override async onShutdown(): Promise<void> {}
}

/** One set of attributes of one metric: the value of a sum or a gauge, or what a histogram has counted. */
export interface Point {
  readonly name: string
  readonly attributes: Attributes
  readonly value: number
}

/** An OpenTelemetry SDK that keeps everything in memory, for one test: spans as they end, metrics when asked. */
export class TelemetryLab {
  readonly #exporter = new InMemorySpanExporter()
  readonly #reader = new OnDemandReader()
  readonly tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(this.#exporter)] })
  readonly meterProvider = new MeterProvider({ readers: [this.#reader] })

  static open(): TelemetryLab {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
    onTestFinished(() => context.disable())
    return new TelemetryLab()
  }

  get options(): TelemetryOptions {
    return { tracerProvider: this.tracerProvider, meterProvider: this.meterProvider }
  }

  get spans(): ReadableSpan[] {
    return this.#exporter.getFinishedSpans()
  }

  spansCalled(name: string): ReadableSpan[] {
    return this.spans.filter((span) => span.name === name)
  }

  async points(): Promise<Point[]> {
    const { resourceMetrics, errors } = await this.#reader.collect()
    if (errors.length > 0) throw errors[0]
    return resourceMetrics.scopeMetrics.flatMap(({ metrics }) =>
      metrics.flatMap(({ descriptor: { name }, dataPoints }) =>
        dataPoints.map(({ attributes, value }) => ({
          name,
          attributes,
          value: typeof value === 'number' ? value : value.count,
        })),
      ),
    )
  }

  /** Sum of a metric over all points that have these attributes. */
  async sum(name: string, attributes: Attributes = {}): Promise<number> {
    return (await this.points())
      .filter((point) => point.name === name)
      .filter((point) => Object.entries(attributes).every(([key, value]) => point.attributes[key] === value))
      .reduce((sum, { value }) => sum + value, 0)
  }
}
