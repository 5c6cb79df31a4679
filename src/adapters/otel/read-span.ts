import type { Answered, FillSpan, ReadCall, ReadSpan } from '../../core/telemetry.js'
import { errorType, named } from './attributes.js'
import { OtelFillSpan } from './fill-span.js'
import type { Instruments } from './instruments.js'
import type { RequestCounts } from './request-counts.js'
import type { TimedSpan } from './timed-span.js'

/** From the best that can happen to a key to the worst, and from the nearest tier to the farthest. */
const RESULTS: readonly Answered['result'][] = ['hit', 'negative', 'stale', 'miss', 'bypass']
const TIERS: readonly Answered['tier'][] = ['l1', 'l2', 'copy', 'source']

export interface OtelReadSpanOptions {
  readonly span: TimedSpan
  readonly instruments: Instruments
  readonly counts: RequestCounts
  readonly namespace: string
  readonly call: ReadCall
  readonly entity: string
}

/** One call that reads one key or many. */
export class OtelReadSpan implements ReadSpan {
  readonly #options: OtelReadSpanOptions
  #result: Answered['result'] = 'hit'
  #tier: Answered['tier'] = 'l1'

  constructor(options: OtelReadSpanOptions) {
    this.#options = options
  }

  answered(how: Answered, fill?: FillSpan): void {
    const { counts, entity, span } = this.#options
    counts.add(entity, how)
    if (RESULTS.indexOf(how.result) > RESULTS.indexOf(this.#result)) this.#result = how.result
    if (TIERS.indexOf(how.tier) > TIERS.indexOf(this.#tier)) this.#tier = how.tier
    if (fill instanceof OtelFillSpan) fill.linkFrom(span)
  }

  run<Result>(work: () => Promise<Result>): Promise<Result> {
    const { span, namespace, call, entity, instruments } = this.#options
    return span.run(work, (outcome) => {
      const result = 'error' in outcome ? 'error' : this.#result
      const tier = this.#tier
      const told = () => named({ result, tier, hit: result !== 'miss' && result !== 'bypass' && result !== 'error' })
      const seconds = 'error' in outcome ? span.fail(outcome.error, told) : span.end(told)
      if (seconds === undefined || !instruments.areHeard) return
      const failure = 'error' in outcome ? { errorType: errorType(outcome.error) } : {}
      const labels = named({ namespace, name: entity, operation: call, result, tier, ...failure })
      instruments.record('operationDuration', seconds, labels)
    })
  }
}
