import { expect, it } from 'vitest'
import { SourceError } from '../../../src/core/errors.js'

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
