import type { Answered } from '../../core/telemetry.js'

/** How keys were answered, as plain numbers: this is counted at every read of the cache. */
export class RequestCounts {
  readonly #counts = new Map<string, Map<Answered, number>>()

  add(entity: string, how: Answered): void {
    let ofEntity = this.#counts.get(entity)
    if (ofEntity === undefined) {
      ofEntity = new Map()
      this.#counts.set(entity, ofEntity)
    }
    ofEntity.set(how, (ofEntity.get(how) ?? 0) + 1)
  }

  *all(): Iterable<{ readonly entity: string; readonly how: Answered; readonly count: number }> {
    for (const [entity, ofEntity] of this.#counts) for (const [how, count] of ofEntity) yield { entity, how, count }
  }
}
