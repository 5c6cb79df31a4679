import { expect, it } from 'vitest'
import { SourceError } from '../../src/core/errors.js'
import type { CorralEvent } from '../../src/core/events.js'
import type { CacheKey } from '../../src/core/key.js'
import { type EventLogger, logEvents } from '../../src/log-events.js'

function lines(...events: CorralEvent[]): unknown[] {
  const said: unknown[] = []
  const at = (level: string) => (fields: object, message: string) => said.push([level, message, fields])
  const logger: EventLogger = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
  events.forEach(logEvents(logger))
  return said
}

it('gives each event a level, its type as the message and the rest as fields', () => {
  const key = 'shop:{public.products/1}' as CacheKey
  expect(
    lines(
      { type: 'hit', entity: 'public.products', tier: 'l1', verdict: 'fresh' },
      { type: 'breaker', shard: 'redis', state: 'open' },
      { type: 'breaker', shard: 'redis', state: 'closed' },
      { type: 'floor.reset', entity: 'public.products', key },
      { type: 'fence', outcome: 'pending', keys: 1, replaced: 0, durationMs: 200 },
      { type: 'fence.settled', outcome: 'dropped', keys: 1 },
    ),
  ).toEqual([
    ['debug', 'corral hit', { entity: 'public.products', tier: 'l1', verdict: 'fresh' }],
    ['warn', 'corral breaker', { shard: 'redis', state: 'open' }],
    ['info', 'corral breaker', { shard: 'redis', state: 'closed' }],
    ['warn', 'corral floor.reset', { entity: 'public.products', key }],
    ['warn', 'corral fence', { outcome: 'pending', keys: 1, replaced: 0, durationMs: 200 }],
    ['error', 'corral fence.settled', { outcome: 'dropped', keys: 1 }],
  ])
})

it('of an error logs class and code, and nothing it says', () => {
  const driver = Object.assign(new Error('invalid input syntax for type integer: "a@b.c"'), { code: '22P02' })
  const error = new SourceError('load of products', driver)
  const [[level, , fields]] = lines({ type: 'load', entity: 'public.products', ids: 1, durationMs: 2, error }) as [
    [string, string, object],
  ]
  expect(level).toBe('warn')
  expect(fields).toMatchObject({
    error: { name: 'SourceError', code: 'SOURCE_FAILED', cause: { name: 'Error', code: '22P02' } },
  })
  expect(JSON.stringify(fields)).not.toContain('a@b.c')
})

it.each([
  [undefined, 'one without debug'],
  [{ debug() {}, info() {}, error() {} }, 'one without warn'],
])('refuses %o, which would lose events', (logger, found) => {
  expect(() => logEvents(logger as unknown as EventLogger)).toThrow(
    `option \`logEvents logger\`: expected a logger with debug, info, warn, error, found ${found}`,
  )
})
