import type { CorralEvent } from '../../src/core/events.js'

type Field = string | number

/** Collects events, and tells them as a story in which only what a reader of the test needs is said. */
export class Recorder {
  readonly events: CorralEvent[] = []

  /** Bound, so that it can be handed on as a sink. */
  readonly emit = (event: CorralEvent): void => {
    this.events.push(event)
  }

  count(type: CorralEvent['type']): number {
    return this.events.filter((event) => event.type === type).length
  }

  of<Type extends CorralEvent['type']>(type: Type): Extract<CorralEvent, { type: Type }>[] {
    return this.events.filter((event): event is Extract<CorralEvent, { type: Type }> => event.type === type)
  }

  /** One numbered line for each event, and forgets them. */
  story(): string {
    const lines = this.events.map((event, at) => `${at + 1} ${event.type}${told(event).map(said).join('')}`)
    this.events.length = 0
    return `\n${lines.join('\n')}\n`
  }
}

function said(field: Field): string {
  return ` ${field}`
}

function told(event: CorralEvent): Field[] {
  switch (event.type) {
    case 'started':
      return [event.store]
    case 'hit':
      return [event.tier, event.verdict]
    case 'miss':
      return [event.reason]
    case 'coalesced':
      return [event.scope, ...(event.waitedMs > 0 ? [`after ${event.waitedMs} ms`] : [])]
    case 'load':
      return [
        `${event.ids} id${event.ids === 1 ? '' : 's'}`,
        ...(event.durationMs > 0 ? [`in ${event.durationMs} ms`] : []),
        ...(event.error === undefined ? [] : ['failed']),
      ]
    case 'replica.skipped':
      return [event.reason]
    case 'fill':
      return [event.reason, event.outcome]
    case 'entry.unreadable':
      return [event.reason]
    case 'entry.uncacheable':
      return [event.property]
    case 'entry.oversized':
      return [`${event.sizeBytes} bytes`]
    case 'lock':
      return [event.state, event.name]
    case 'fence':
      return [`${event.keys} key${event.keys === 1 ? '' : 's'}`, event.outcome]
    case 'fence.settled':
      return [`${event.keys} key${event.keys === 1 ? '' : 's'}`, event.outcome]
    case 'breaker':
    case 'outage':
      return [event.state]
    case 'cache.unavailable':
      return [event.operation]
    case 'background.failed':
      return [event.task]
    case 'bus.flush':
    case 'bus.refused':
      return [event.reason]
    case 'bus.unsent':
      return [`${event.changes} changes`]
    case 'ttl.refused':
      return [event.reason]
    case 'write.unseen':
      return [event.entity ?? event.statement]
    case 'drift.found':
      return [event.place, event.kind, event.repair]
    case 'compared':
      return [`${event.differing} of ${event.rows} differ`]
    case 'relay.batch':
      return [`${event.changes} change${event.changes === 1 ? '' : 's'}`]
    case 'relay.shard':
      return [event.shard, event.standing]
    case 'relay.replayed':
      return [`${event.keys} key${event.keys === 1 ? '' : 's'}`]
    case 'relay.beat':
      return [`${event.pending} pending`]
    case 'relay.leader':
    case 'relay.slot':
      return [event.state]
    case 'epoch':
      return [event.number]
    case 'durability':
      return [event.durability]
    case 'relay.failed':
    case 'primary.recovering':
    case 'shape.changed':
    case 'floor.reset':
      return []
  }
}
