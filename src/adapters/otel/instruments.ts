import {
  type Attributes,
  type BatchObservableResult,
  type Counter,
  createNoopMeter,
  type Histogram,
  type MeterProvider,
  type Observable,
} from '@opentelemetry/api'
import { DURATION_BUCKETS, METRICS, type MetricDefinition, type MetricKey, SCOPE } from './names.js'
import { quietly } from './quietly.js'

type KeysOfKind<Kind extends MetricDefinition['kind']> = {
  [Key in MetricKey]: (typeof METRICS)[Key]['kind'] extends Kind ? Key : never
}[MetricKey]

export type HistogramKey = KeysOfKind<'histogram'>
export type CounterKey = KeysOfKind<'counter'>
export type ObservedKey = Exclude<MetricKey, HistogramKey | CounterKey>

export interface Observation {
  readonly metric: ObservedKey
  readonly attributes: Attributes
  readonly value: number
}

export type Observed = () => Iterable<Observation>

const ofProviders = new WeakMap<MeterProvider, Instruments>()

/**
 * The instruments of one meter provider, shared by all instances of this library that report to it: an instrument that is observed
 * gets one value for each set of attributes, so what several instances say of the same one has to be summed up first.
 */
export class Instruments {
  readonly #histograms = new Map<MetricKey, Histogram>()
  readonly #counters = new Map<MetricKey, Counter>()
  readonly #observables = new Map<ObservedKey, Observable>()
  readonly #observed = new Set<Observed>()
  /** False: no SDK is registered, so there is no need to say anything. */
  readonly areHeard: boolean
  /** Last values of closed instances. Counters keep theirs, because a counter never goes down. All others are zero: what is not observed again would keep its last value. */
  #retired: Observation[] = []

  static of(provider: MeterProvider): Instruments {
    const known = ofProviders.get(provider)
    if (known !== undefined) return known
    const made = new Instruments(provider)
    ofProviders.set(provider, made)
    return made
  }

  private constructor(provider: MeterProvider) {
    const meter = provider.getMeter(SCOPE)
    this.areHeard = meter !== createNoopMeter()
    for (const key of Object.keys(METRICS) as MetricKey[]) {
      const { name, kind, unit, description } = METRICS[key]
      const options = { unit, description }
      switch (kind) {
        case 'histogram': {
          const advice = { explicitBucketBoundaries: DURATION_BUCKETS }
          this.#histograms.set(key, meter.createHistogram(name, { ...options, advice }))
          break
        }
        case 'counter':
          this.#counters.set(key, meter.createCounter(name, options))
          break
        case 'observed counter':
          this.#observables.set(key as ObservedKey, meter.createObservableCounter(name, options))
          break
        case 'observed updowncounter':
          this.#observables.set(key as ObservedKey, meter.createObservableUpDownCounter(name, options))
          break
        case 'observed gauge':
          this.#observables.set(key as ObservedKey, meter.createObservableGauge(name, options))
      }
    }
    meter.addBatchObservableCallback((result) => this.#collect(result), [...this.#observables.values()])
  }

  record(metric: HistogramKey, value: number, attributes: Attributes): void {
    quietly(() => this.#histograms.get(metric)?.record(value, attributes))
  }

  add(metric: CounterKey, value: number, attributes: Attributes): void {
    quietly(() => this.#counters.get(metric)?.add(value, attributes))
  }

  /** `observed` is asked whenever metrics are collected, until the function that is returned is called. */
  observe(observed: Observed): () => void {
    this.#observed.add(observed)
    return () => {
      if (!this.#observed.delete(observed)) return
      const last = [...observed()].map((each) => (isCounter(each) ? each : { ...each, value: 0 }))
      this.#retired = summed([...this.#retired, ...last])
    }
  }

  #collect(result: BatchObservableResult): void {
    const all = [...this.#observed].flatMap((observed) => [...observed()])
    for (const { metric, attributes, value } of summed([...this.#retired, ...all])) {
      result.observe(this.#observables.get(metric) as Observable, value, attributes)
    }
  }
}

function isCounter({ metric }: Observation): boolean {
  return METRICS[metric].kind === 'observed counter'
}

/** One observation for each metric and set of attributes. Ages do not add up: of those the greatest counts. */
function summed(observations: readonly Observation[]): Observation[] {
  const sums = new Map<string, Observation>()
  for (const each of observations) {
    const id = `${each.metric} ${JSON.stringify(each.attributes)}`
    const before = sums.get(id)?.value
    const isGauge = METRICS[each.metric].kind === 'observed gauge'
    const value = before === undefined ? each.value : isGauge ? Math.max(before, each.value) : before + each.value
    sums.set(id, { ...each, value })
  }
  return [...sums.values()]
}
