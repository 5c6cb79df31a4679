import {
  type Attributes,
  type Context,
  context,
  isSpanContextValid,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import type { Clock } from '../../core/clock.js'
import { errorType, named } from './attributes.js'
import { quietly } from './quietly.js'

export interface TimedSpanOptions {
  /** Undefined: nobody traces. */
  readonly tracer: Tracer | undefined
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly name: string
  readonly attributes: Attributes
  /** Begins a trace of its own, whatever is active. */
  readonly root?: boolean
}

/** A span that also tells how long it took, whether anybody traces or not. */
export class TimedSpan {
  readonly #span: Span | undefined
  readonly #clock: Pick<Clock, 'monotonicMs'>
  readonly #startedMs: number
  /** Undefined: nobody traces, so nothing has to be carried along. */
  readonly #inside: Context | undefined
  #ended = false

  constructor({ tracer, clock, name, attributes, root = false }: TimedSpanOptions) {
    const span = tracer && quietly(() => tracer.startSpan(name, { kind: SpanKind.INTERNAL, attributes, root }))
    this.#span = span
    // Also of a trace that is not sampled: what begins inside must not begin one of its own.
    const own = this.context
    const isTraced = span !== undefined && own !== undefined && isSpanContextValid(own)
    this.#inside = isTraced ? trace.setSpan(context.active(), span) : undefined
    this.#clock = clock
    this.#startedMs = clock.monotonicMs()
  }

  get isTraced(): boolean {
    return this.#inside !== undefined
  }

  get context(): SpanContext | undefined {
    const span = this.#span
    return span && quietly(() => span.spanContext())
  }

  /** Runs `work` inside, and what it begins, as far as a context manager can follow it. */
  within<Result>(work: () => Result): Result {
    return this.#inside === undefined ? work() : context.with(this.#inside, work)
  }

  /** Runs `work` inside and calls `end` when it has settled. */
  run<Result>(
    work: () => Promise<Result>,
    end: (outcome: { readonly value: Result } | { readonly error: unknown }) => void,
  ): Promise<Result> {
    const failed = (error: unknown): never => {
      end({ error })
      throw error
    }
    let answer: Promise<Result>
    try {
      answer = this.within(work)
    } catch (error) {
      return failed(error)
    }
    return answer.then((value) => {
      end({ value })
      return value
    }, failed)
  }

  set(attributes: Attributes): void {
    const span = this.#span
    if (span) quietly(() => span.setAttributes(attributes))
  }

  link(to: SpanContext | undefined): void {
    const span = this.#span
    if (span && to !== undefined && isSpanContextValid(to)) quietly(() => span.addLink({ context: to }))
  }

  /** Ends it and returns how many seconds it took; undefined when it had ended before. Attributes are only asked for where somebody traces. */
  end(attributes: () => Attributes): number | undefined {
    if (this.#ended) return undefined
    this.#ended = true
    const seconds = (this.#clock.monotonicMs() - this.#startedMs) / 1_000
    if (this.#inside === undefined) return seconds
    this.set(attributes())
    const span = this.#span
    if (span) quietly(() => span.end())
    return seconds
  }

  /** The same for work that failed. The error's message stays out of it: it may quote values. */
  fail(error: unknown, attributes: () => Attributes): number | undefined {
    const span = this.#span
    if (span && !this.#ended) quietly(() => span.setStatus({ code: SpanStatusCode.ERROR }))
    return this.end(() => ({ ...attributes(), ...named({ errorType: errorType(error) }) }))
  }
}
