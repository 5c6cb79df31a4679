import { expect, it } from 'vitest'
import { errorType, named } from '../../../../src/adapters/otel/attributes.js'
import { OverloadedError } from '../../../../src/core/errors.js'

const withCode = (code: unknown) => Object.assign(new Error('Key (email)=(a@b.c) already exists.'), { code })

it.each<[string, unknown, string]>([
  ['an error of ours', new OverloadedError('products', 'too many'), 'OVERLOADED'],
  ['a SQLSTATE', withCode('23505'), '23505'],
  ['a system error', withCode('ECONNREFUSED'), 'ECONNREFUSED'],
  ['a numeric code', new DOMException('gone', 'AbortError'), 'AbortError'],
  ['a code that is text', withCode('no such user a@b.c'), 'Error'],
  ['no error', 'a@b.c', '_OTHER'],
  ['nothing', undefined, '_OTHER'],
  ['a name that is text', Object.assign(new Error(), { name: 'about a@b.c' }), '_OTHER'],
])('%s', (_, error, type) => {
  expect(errorType(error)).toBe(type)
})

it('leaves out what is undefined', () => {
  expect(named({ name: 'public.products', errorType: undefined })).toEqual({ 'cache.name': 'public.products' })
})
