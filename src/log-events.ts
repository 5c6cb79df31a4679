import { ConfigError, inWords } from './core/errors.js'
import type { CorralEvent } from './core/events.js'

/** A logger as pino, bunyan or the console is one: fields first, then a message. */
export type EventLogger = {
  readonly [Level in EventLevel]: (fields: Readonly<Record<string, unknown>>, message: string) => void
}

export type EventLevel = 'debug' | 'info' | 'warn' | 'error'

const LEVELS: readonly EventLevel[] = ['debug', 'info', 'warn', 'error']

/**
 * An `onEvent` that logs every event on a level of its own: `createCorral({ …, onEvent: logEvents(logger) })`. The message is the
 * event's type, its other properties are the fields. Of an error only class and code are logged: drivers quote values in messages.
 *
 * Hits, misses, loads and what else belongs to normal reading and writing are on `debug`. What the logger throws is dropped.
 *
 * @throws ConfigError for a logger that lacks a level: it would lose what is on it, and nobody would know.
 */
export function logEvents(logger: EventLogger): (event: CorralEvent) => void {
  const missing = LEVELS.find((level) => typeof (logger as Partial<EventLogger> | undefined)?.[level] !== 'function')
  if (missing)
    throw new ConfigError('logEvents logger', `a logger with ${LEVELS.join(', ')}`, inWords(`one without ${missing}`))
  return (event) => {
    const { type, ...fields } = event
    const failure = 'error' in fields ? { error: errorFields(fields.error) } : {}
    logger[levelOf(event)]({ ...fields, ...failure }, `corral ${type}`)
  }
}

function levelOf(event: CorralEvent): EventLevel {
  switch (event.type) {
    case 'hit':
    case 'miss':
    case 'coalesced':
    case 'relay.batch':
      return 'debug'
    case 'load':
      return event.error === undefined ? 'debug' : 'warn'
    case 'fill':
      return event.outcome === 'unavailable' ? 'warn' : 'debug'
    case 'fence':
      return event.outcome === 'fenced' ? 'debug' : 'warn'
    case 'fence.settled':
      return event.outcome === 'fenced' ? 'info' : 'error'
    case 'compared':
      return event.differing === 0 ? 'debug' : 'warn'
    case 'bus.flush':
      return event.reason === 'subscribed' ? 'info' : 'warn'
    case 'breaker':
      return event.state === 'open' ? 'warn' : 'info'
    case 'replica.skipped':
      return event.reason === 'failed' ? 'warn' : 'debug'
    case 'outage':
      return event.state === 'passed' ? 'info' : 'warn'
    case 'relay.shard':
      return event.standing === 'current' ? 'info' : 'warn'
    case 'relay.slot':
      if (event.state === 'reserved') return 'debug'
      return event.state === 'created' || event.state === 'extended' ? 'info' : 'error'
    case 'relay.beat':
      return event.pending + event.replaying + event.away === 0 ? 'debug' : 'info'
    case 'lock':
      return event.state === 'lost' || event.state === 'refused' ? 'warn' : 'debug'
    case 'started':
    case 'relay.leader':
    case 'relay.replayed':
    case 'shape.changed':
    case 'durability':
      return 'info'
    case 'entry.unreadable':
    case 'entry.uncacheable':
    case 'entry.oversized':
    case 'write.unseen':
    case 'ttl.refused':
    case 'floor.reset':
    case 'drift.found':
    case 'cache.unavailable':
    case 'bus.refused':
    case 'bus.unsent':
    case 'epoch':
    case 'primary.recovering':
      return 'warn'
    case 'relay.failed':
    case 'background.failed':
      return 'error'
    default:
      return event satisfies never
  }
}

function errorFields(error: unknown): Readonly<Record<string, unknown>> | undefined {
  if (error === undefined) return undefined
  const { cause } = (error ?? {}) as { cause?: unknown }
  return { ...classAndCode(error), ...(cause === undefined ? {} : { cause: classAndCode(cause) }) }
}

function classAndCode(error: unknown): Readonly<Record<string, unknown>> {
  const { name, code } = (error ?? {}) as { name?: unknown; code?: unknown }
  return { name, code }
}
