import { trace } from '@opentelemetry/api'
import type { FillSpan } from '../../core/telemetry.js'
import { errorType, named } from './attributes.js'
import type { Instruments } from './instruments.js'
import { quietly } from './quietly.js'
import type { TimedSpan } from './timed-span.js'

export interface OtelFillSpanOptions {
  /** Made here, so that who is active meanwhile is known to be its parent. */
  readonly open: () => TimedSpan
  readonly instruments: Instruments
  readonly namespace: string
  readonly entity: string
  /** Undefined: a load that fills nothing. Its duration is that of the load. */
  readonly reason: 'miss' | 'refresh' | undefined
}

/** A fill under way, to which the reads that it answers can be linked. */
export class OtelFillSpan implements FillSpan {
  readonly #options: OtelFillSpanOptions
  readonly #span: TimedSpan
  readonly #parentId: string | undefined

  constructor(options: OtelFillSpanOptions) {
    this.#options = options
    this.#parentId = quietly(() => trace.getActiveSpan()?.spanContext().spanId)
    this.#span = options.open()
  }

  within<Result>(work: () => Promise<Result>): Promise<Result> {
    return this.#span.within(work)
  }

  /** The read that began this fill is its parent, which says it all. */
  linkFrom(reader: TimedSpan): void {
    if (reader.context?.spanId !== this.#parentId) reader.link(this.#span.context)
  }

  end(outcome: string): void {
    const fillOutcome = this.#options.reason && outcome
    this.#record(
      this.#span.end(() => named({ fillOutcome })),
      outcome,
    )
  }

  failed(error: unknown): void {
    const fillOutcome = this.#options.reason && 'failed'
    this.#record(
      this.#span.fail(error, () => named({ fillOutcome })),
      'failed',
      errorType(error),
    )
  }

  #record(seconds: number | undefined, fillOutcome: string, error?: string): void {
    const { instruments, namespace, entity: name, reason: fillReason } = this.#options
    if (seconds === undefined || fillReason === undefined || !instruments.areHeard) return
    const labels = named({ namespace, name, fillReason, fillOutcome, errorType: error })
    instruments.record('fillDuration', seconds, labels)
  }
}
