import { expect, it } from 'vitest'
import { ConfigError, SourceError } from '../../../src/core/errors.js'

it.each([
  ['an error', new Error('no route to host'), 'no route to host'],
  [
    'one for each address of a host, which is how Node says that none was reached',
    new AggregateError([new Error('connect ECONNREFUSED ::1:5432'), new Error('connect ECONNREFUSED 127.0.0.1:5432')]),
    'connect ECONNREFUSED ::1:5432',
  ],
  ['an error without a word', new RangeError(), 'RangeError'],
  ['no error', 'gone', 'gone'],
])('a failure at the database says why, when the cause is %s', (_, cause, reason) => {
  const error = new SourceError('load of public.products', cause)
  expect(error.message).toBe(`load of public.products failed at the database: ${reason}`)
  expect(error.cause).toBe(cause)
})

it.each([
  'postgres://app:hunter2@db.internal/shop',
  'rediss://:hunter2@cache.internal:6379',
  'host=db.internal password=hunter2',
])('an option that was given a connection string does not repeat it', (found) => {
  expect(new ConfigError('db', 'a Kysely instance', found).message).toBe(
    'option `db`: expected a Kysely instance, found a connection string',
  )
})
