import { expect, it } from 'vitest'
import type { CachedTable } from '../../../src/table/cached-table.js'
import { expectedVersion } from '../../../src/table/expected-version.js'

const stamped = { facts: { entity: 'public.products', version: { property: 'corral_version' } } }
const plain = { facts: { entity: 'public.logs', version: undefined } }

function expected(options: object, table: object = stamped) {
  return expectedVersion(table as CachedTable, options)
}

it('a write without `expectVersion` expects nothing', () => {
  expect(expected({})).toBeUndefined()
})

it('a version is digits, as text or as what a type parser made of them', () => {
  expect(expected({ expectVersion: '9007199254740993' })).toBe('9007199254740993')
  expect(expected({ expectVersion: 9007199254740993n })).toBe('9007199254740993')
  expect(expected({ expectVersion: 7 })).toBe('7')
})

it.each([undefined, null, '', '1.5', -1, 2 ** 53, 1.5, {}])(
  'what is there and is no version is refused, or the write would be made in any case: %o',
  (expectVersion) => {
    expect(() => expected({ expectVersion })).toThrow(
      'option `expectVersion`: expected the `version` of an earlier result',
    )
  },
)

it('a table without a stamp has none to expect, whatever is given', () => {
  for (const expectVersion of ['7', undefined]) {
    expect(() => expected({ expectVersion }, plain)).toThrow(
      'option `expectVersion`: expected a table with a version stamp, found public.logs, which has none',
    )
  }
})
