import { expect, it } from 'vitest'
import { ConfigError, inWords, KeyError, LockBusyError, SourceError } from '../../../src/core/errors.js'

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

it.each([
  ['secret@example.com', 'a string of 18'],
  [123_456_789, 'a whole number'],
  [2 ** 60, 'a whole number that is not safe'],
  [1.5, 'a fraction'],
  [Number.NaN, 'NaN'],
  [12_345_678_901_234_567_890n, 'a bigint'],
  [true, 'a boolean'],
  [['a', 'b'], 'an array of 2'],
  [new Date(), 'an object (Date)'],
  [undefined, 'undefined'],
  [inWords('{ kind, name }'), '{ kind, name }'],
])('what is no id is told by its kind, never by its value: %o', (found, words) => {
  expect(new KeyError('email', 'a uuid', found).message).toBe(`key column \`email\`: expected a uuid, found ${words}`)
})

it('what was found may be said in words, which are not quoted', () => {
  expect(new ConfigError('update values', 'at least one column', inWords('none')).message).toMatch(/, found none$/)
})

it('a lock that is held may be so by a call of this process', () => {
  expect(new LockBusyError('nightly', 50).message).toBe(
    'lock `nightly` is held by another call, of this process or another, and was not released within 50 ms',
  )
})
