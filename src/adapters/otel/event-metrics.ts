import type { CorralEvent } from '../../core/events.js'
import { ATTRIBUTES } from './attribute-names.js'
import { errorType, named } from './attributes.js'
import type { CounterKey, Instruments } from './instruments.js'

const SLOT_TROUBLE: readonly string[] = ['unreserved', 'lost', 'missing']

/** Counts what events tell. What belongs to a call under way is counted where that ends. */
export class EventMetrics {
  readonly #instruments: Instruments
  readonly #namespace: string

  constructor(instruments: Instruments, namespace: string) {
    this.#instruments = instruments
    this.#namespace = namespace
  }

  /** Counts nothing once: a counter that first appears with its first incident shows no increase then, and no alert goes off. */
  begin(): void {
    const zero = (metric: CounterKey, values: Parameters<typeof named>[0] = {}) =>
      this.#instruments.add(metric, 0, named({ namespace: this.#namespace, ...values }))
    for (const metric of ['busGap', 'busUnsent', 'relayChanges', 'lockOverlaps'] as const) zero(metric)
    for (const fenceOutcome of ATTRIBUTES.fenceOutcome.values) zero('fencedKeys', { fenceOutcome })
    for (const flushReason of ATTRIBUTES.flushReason.values) zero('busResync', { flushReason })
    for (const refusedReason of ATTRIBUTES.refusedReason.values) zero('busRefused', { refusedReason })
    for (const incident of ATTRIBUTES.incident.values) zero('incidents', { incident })
  }

  count(event: CorralEvent): void {
    const instruments = this.#instruments
    const namespace = this.#namespace
    if (!instruments.areHeard) return
    switch (event.type) {
      case 'coalesced': {
        const { entity: name, scope } = event
        instruments.add('coalesced', 1, named({ namespace, name, scope }))
        break
      }
      case 'load': {
        const { entity: name, error, ids, durationMs } = event
        const failure = error === undefined ? {} : { errorType: errorType(error) }
        instruments.record('loadDuration', durationMs / 1_000, named({ namespace, name, ...failure }))
        instruments.add('loadRows', ids, named({ namespace, name }))
        break
      }
      case 'fill': {
        const { entity: name, outcome: fillOutcome } = event
        if (fillOutcome !== 'filled') instruments.add('fillRejected', 1, named({ namespace, name, fillOutcome }))
        break
      }
      case 'fence': {
        const { outcome: fenceOutcome, keys, durationMs } = event
        instruments.add('fencedKeys', keys, named({ namespace, fenceOutcome }))
        if (fenceOutcome === 'fenced') this.#lag('write', durationMs)
        break
      }
      case 'fence.settled': {
        const fenceOutcome = event.outcome === 'fenced' ? 'settled' : 'dropped'
        instruments.add('fencedKeys', event.keys, named({ namespace, fenceOutcome }))
        break
      }
      case 'relay.batch':
        instruments.add('relayChanges', event.changes, named({ namespace }))
        // `lagMs` is of when the page was read; what it took to fence it comes on top.
        this.#lag('outbox', event.lagMs + event.durationMs)
        break
      case 'bus.flush':
        if (event.reason === 'gap') instruments.add('busGap', 1, named({ namespace }))
        instruments.add('busResync', 1, named({ namespace, flushReason: event.reason }))
        break
      case 'bus.refused':
        instruments.add('busRefused', 1, named({ namespace, refusedReason: event.reason }))
        break
      case 'bus.unsent':
        instruments.add('busUnsent', 1, named({ namespace }))
        break
      case 'compared': {
        const { entity: name, rows, differing } = event
        instruments.add('driftChecked', rows, named({ namespace, name }))
        instruments.add('driftFound', differing, named({ namespace, name }))
        break
      }
      case 'replica.skipped': {
        const { entity: name, reason: skipReason } = event
        instruments.add('replicaSkipped', 1, named({ namespace, name, skipReason }))
        break
      }
      case 'lock':
        instruments.add('lockChanges', 1, named({ namespace, lockState: event.state }))
        if (event.state === 'acquired' && event.others > 0) instruments.add('lockOverlaps', 1, named({ namespace }))
        break
      case 'relay.slot':
        if (SLOT_TROUBLE.includes(event.state)) {
          instruments.add('incidents', 1, named({ namespace, incident: event.type }))
        }
        break
      case 'entry.unreadable':
      case 'entry.uncacheable':
      case 'entry.oversized':
      case 'write.unseen':
      case 'ttl.refused':
      case 'shape.changed':
      case 'floor.reset':
      case 'drift.found':
      case 'cache.unavailable':
      case 'relay.failed':
      case 'primary.recovering':
      case 'outage':
      case 'relay.replayed':
      case 'epoch':
      case 'background.failed':
        instruments.add('incidents', 1, named({ namespace, incident: event.type }))
        break
      // Told at the end of a call, or as a state.
      case 'hit':
      case 'miss':
      case 'breaker':
      case 'relay.leader':
      case 'relay.beat':
      case 'relay.shard':
      case 'started':
      case 'durability':
        break
      default:
        event satisfies never
    }
  }

  #lag(cause: 'write' | 'outbox', lagMs: number): void {
    this.#instruments.record('invalidationLag', lagMs / 1_000, named({ namespace: this.#namespace, cause }))
  }
}
