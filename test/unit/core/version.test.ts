import { expect, it } from 'vitest'
import { toVersion } from '../../../src/core/version.js'

it.each<[string, unknown, string | undefined]>([
  ['text', '1764547200000000', '1764547200000000'],
  ['a bigint', 9_223_372_036_854_775_807n, '9223372036854775807'],
  ['a number', 42, '42'],
  ['none of a number that may stand for several', 2 ** 53, undefined],
  ['none of a negative one', -1, undefined],
  ['none of a fraction', 1.5, undefined],
  ['none of NaN', Number.NaN, undefined],
  ['none of zeros in front', '007', undefined],
  ['none of null', null, undefined],
])('the version in a row is read from %s', (_, value, expected) => {
  expect(toVersion(value)).toBe(expected)
})
