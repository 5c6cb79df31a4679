import { createHmac } from 'node:crypto'
import { type Attributes, context, metrics, ProxyTracerProvider, type Tracer, trace } from '@opentelemetry/api'
import type { Clock } from '../../core/clock.js'
import type { CorralEvent } from '../../core/events.js'
import type { CacheKey } from '../../core/key.js'
import {
  type FillSpan,
  type InstanceFigures,
  type NearFigures,
  NO_TELEMETRY,
  type ReadCall,
  type ReadSpan,
  type Telemetry,
  type WorkSpan,
  type WriteCall,
  type WriteSpan,
} from '../../core/telemetry.js'
import { ATTRIBUTES } from './attribute-names.js'
import { errorType, named } from './attributes.js'
import { EventMetrics } from './event-metrics.js'
import { OtelFillSpan } from './fill-span.js'
import { Instruments, type Observation, type ObservedKey } from './instruments.js'
import { SCOPE, SPANS, type SpanDefinition } from './names.js'
import { quietly } from './quietly.js'
import { OtelReadSpan } from './read-span.js'
import { RequestCounts } from './request-counts.js'
import type { TelemetryOptions } from './telemetry-options.js'
import { TimedSpan } from './timed-span.js'

export interface OtelTelemetryOptions extends TelemetryOptions {
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly namespace: string
  readonly secret: string | undefined
}

interface Head {
  readonly name: string
  readonly attributes: Attributes
}

/** `Telemetry` by `@opentelemetry/api`: spans of kind INTERNAL, and metrics of which none has a key or a value in it. */
export class OtelTelemetry implements Telemetry {
  readonly #options: OtelTelemetryOptions
  #tracer: Tracer | undefined
  readonly #instruments: Instruments
  readonly #events: EventMetrics
  readonly #counts = new RequestCounts()
  readonly #near: { readonly entity: string; readonly figures: NearFigures }[] = []
  readonly #unobserve: () => void
  readonly #heads = new Map<string, Map<string, Head>>()
  #instance: (() => InstanceFigures) | undefined
  /** Of the replication slot that this process has read last. */
  #retainedBytes: number | undefined

  constructor(options: OtelTelemetryOptions) {
    this.#options = options
    this.#instruments = Instruments.of(options.meterProvider ?? metrics.getMeterProvider())
    this.#events = new EventMetrics(this.#instruments, options.namespace)
    this.#events.begin()
    this.#unobserve = this.#instruments.observe(() => this.#observations())
  }

  read(call: ReadCall, entity: string, keys?: number): ReadSpan {
    if (!this.#isHeard) return NO_TELEMETRY.read(call, entity)
    const { namespace } = this.#options
    const span = this.#open(SPANS[call], entity, call)
    if (keys !== undefined) span.set(named({ keys }))
    return new OtelReadSpan({ span, instruments: this.#instruments, counts: this.#counts, namespace, call, entity })
  }

  write(call: WriteCall, entity: string | undefined): WriteSpan {
    if (!this.#isHeard) return NO_TELEMETRY.write(call, entity)
    const span = this.#open(SPANS.write, entity, call)
    return {
      run: (work) =>
        span.run(work, (outcome) => {
          const failure = 'error' in outcome ? { errorType: errorType(outcome.error) } : {}
          const result = 'error' in outcome ? 'error' : (outcome.value?.fence ?? 'none')
          const seconds =
            'error' in outcome ? span.fail(outcome.error, () => named({ result })) : span.end(() => named({ result }))
          const labels = this.#labels({ name: entity, operation: call, result, ...failure })
          if (seconds !== undefined) this.#instruments.record('operationDuration', seconds, labels)
        }),
    }
  }

  fill(entity: string, key: CacheKey, reason: 'miss' | 'refresh'): FillSpan {
    if (!this.#isHeard) return NO_TELEMETRY.fill(entity, key, reason)
    const definition = reason === 'refresh' ? SPANS.refresh : SPANS.fill
    return this.#fillSpan(definition, entity, key, reason)
  }

  load(entity: string, key: CacheKey): FillSpan {
    if (!this.#isHeard) return NO_TELEMETRY.load(entity, key)
    return this.#fillSpan(SPANS.load, entity, key, undefined)
  }

  waitForLease(entity: string): ReturnType<Telemetry['waitForLease']> {
    const { clock } = this.#options
    const startedMs = clock.monotonicMs()
    return (waitOutcome) => {
      const seconds = (clock.monotonicMs() - startedMs) / 1_000
      this.#instruments.record('leaseWaitDuration', seconds, this.#labels({ name: entity, waitOutcome }))
    }
  }

  fence(changes: number): WorkSpan {
    return this.#work(SPANS.fence, changes, false)
  }

  relayBatch(changes: number): WorkSpan {
    return this.#work(SPANS.relayBatch, changes, true)
  }

  busDelay(delayMs: number): void {
    this.#instruments.record('invalidationLag', delayMs / 1_000, this.#labels({ cause: 'bus' }))
  }

  onEvent(event: CorralEvent): void {
    this.#events.count(event)
    if (event.type === 'relay.slot') this.#retainedBytes = event.retainedBytes
  }

  bind(act: () => void): () => void {
    return context.bind(context.active(), act)
  }

  watchNear(entity: string, figures: NearFigures): void {
    this.#near.push({ entity, figures })
  }

  watchInstance(figures: () => InstanceFigures): void {
    this.#instance = figures
  }

  close(): void {
    this.#unobserve()
  }

  /** Asked each time until there is one: an SDK may be registered after this instance was made. */
  get #heardTracer(): Tracer | undefined {
    if (this.#tracer !== undefined) return this.#tracer
    const provider = this.#options.tracerProvider ?? trace.getTracerProvider()
    const isProxy = provider instanceof ProxyTracerProvider
    this.#tracer = quietly(() => (isProxy ? provider.getDelegateTracer(SCOPE) : provider.getTracer(SCOPE)))
    return this.#tracer
  }

  get #isHeard(): boolean {
    return this.#instruments.areHeard || this.#heardTracer !== undefined
  }

  #open(definition: SpanDefinition, entity = '', operation: ReadCall | WriteCall | '' = '', root = false): TimedSpan {
    const { name, attributes } = this.#headOf(definition, entity, operation)
    return new TimedSpan({ tracer: this.#heardTracer, clock: this.#options.clock, name, attributes, root })
  }

  /** What spans of one kind and table begin with: made once, because a span is begun at every read. */
  #headOf(definition: SpanDefinition, entity: string, operation: ReadCall | WriteCall | ''): Head {
    const kind = operation || definition.name
    let ofKind = this.#heads.get(kind)
    if (ofKind === undefined) {
      ofKind = new Map()
      this.#heads.set(kind, ofKind)
    }
    let head = ofKind.get(entity)
    if (head === undefined) {
      head = {
        name: entity === '' ? definition.name : `${definition.name} ${entity}`,
        attributes: this.#labels({ name: entity || undefined, operation: operation || undefined }),
      }
      ofKind.set(entity, head)
    }
    return head
  }

  #work(definition: SpanDefinition, changes: number, root: boolean): WorkSpan {
    const span = this.#open(definition, '', '', root)
    span.set(named({ keys: changes }))
    return {
      run: (work) =>
        span.run(work, (outcome) => {
          if ('error' in outcome) span.fail(outcome.error, () => ({}))
          else span.end(() => named({ fenceOutcome: typeof outcome.value === 'string' ? outcome.value : undefined }))
        }),
    }
  }

  #fillSpan(definition: SpanDefinition, entity: string, key: CacheKey, reason: 'miss' | 'refresh' | undefined) {
    const { namespace, keys } = this.#options
    const open = () => {
      const span = this.#open(definition, entity)
      if (span.isTraced)
        span.set(named({ fillReason: reason, keyHash: keys === 'hashed' ? this.#hash(key) : undefined }))
      return span
    }
    return new OtelFillSpan({ open, instruments: this.#instruments, namespace, entity, reason })
  }

  #labels(values: Parameters<typeof named>[0]): Attributes {
    return { [ATTRIBUTES.namespace.name]: this.#options.namespace, ...named(values) }
  }

  #hash(key: CacheKey): string {
    const { secret, namespace } = this.#options
    return createHmac('sha256', secret ?? namespace)
      .update(key)
      .digest('hex')
      .slice(0, 16)
  }

  *#observations(): Iterable<Observation> {
    const observation = (metric: ObservedKey, value: number, values: Parameters<typeof named>[0] = {}) => ({
      metric,
      value,
      attributes: this.#labels(values),
    })
    for (const { entity: name, how, count } of this.#counts.all()) {
      yield observation('requests', count, { name, ...how })
    }
    for (const { entity: name, figures } of this.#near) {
      yield observation('requests', figures.hits, { name, result: 'hit', tier: 'l1' })
      yield observation('l1Entries', figures.entries, { name })
      yield observation('l1Size', figures.bytes, { name })
    }
    if (this.#instance === undefined) return
    const { breaker, pendingFences, loads, hotKeys, locksHeld, relay } = this.#instance()
    for (const state of ATTRIBUTES.breakerState.values) {
      yield observation('breakerState', state === breaker ? 1 : 0, { breakerState: state })
    }
    yield observation('pendingFences', pendingFences)
    yield observation('loadsRunning', loads.running)
    yield observation('lockHolders', locksHeld)
    yield observation('loadsWaiting', loads.waiting)
    for (const [name, count] of hotKeys) yield observation('hotKeys', count, { name })
    if (relay === undefined) return
    yield observation('relayLeader', relay.leads ? 1 : 0)
    yield observation('outboxPending', relay.pending)
    yield observation('outboxAge', relay.ageMs / 1_000)
    if (this.#retainedBytes !== undefined) {
      yield observation('slotRetained', relay.leads ? this.#retainedBytes : 0)
    }
  }
}
