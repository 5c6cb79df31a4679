import { describe, expect, it } from 'vitest'
import {
  canonicalId,
  IMPOSSIBLE,
  idFromRow,
  KeyColumn,
  type KeyType,
} from '../../../src/adapters/postgres/key-column.js'
import { isCorralError } from '../../../src/core/errors.js'

function column(type: KeyType, property = 'id'): KeyColumn {
  return new KeyColumn({ column: property, property, type })
}

function refusal(act: () => unknown): unknown {
  try {
    return act()
  } catch (error) {
    return error
  }
}

const UUID = '0b5e3c1a-9f00-4d7e-8a11-c0ffee00beef'

const CASES: { type: KeyType; same: [unknown, string][]; impossible: unknown[]; refused: unknown[] }[] = [
  {
    type: { name: 'smallint' },
    same: [
      [32767, '32767'],
      ['-32768', '-32768'],
      ['-0', '0'],
      // More than the column holds, for now.
      [32768, '32768'],
      [-32769n, '-32769'],
    ],
    impossible: ['99999999999999999999999999'],
    refused: ['', '1.0', 1.5, null, undefined, true, {}, [], ' 1', '1e3', '0x1f', '١'],
  },
  {
    type: { name: 'integer' },
    same: [
      [-0, '0'],
      ['+0042', '42'],
      ['-007', '-7'],
      [42n, '42'],
      ['000', '0'],
      [2 ** 31, '2147483648'],
      [-(2 ** 31) - 1, '-2147483649'],
    ],
    impossible: ['9223372036854775808'],
    refused: [Number.NaN, Number.POSITIVE_INFINITY, '4 2', '--1', '+', 'abc', new Date(0)],
  },
  {
    type: { name: 'bigint' },
    same: [
      [9007199254740991, '9007199254740991'],
      ['9223372036854775807', '9223372036854775807'],
      [-9223372036854775808n, '-9223372036854775808'],
      ['00000000000000000000000009223372036854775807', '9223372036854775807'],
    ],
    impossible: ['9223372036854775808', -9223372036854775809n, '10000000000000000000'],
    // A number this large may have been another one before it was a double.
    refused: [9007199254740992, 1e19],
  },
  {
    type: { name: 'uuid' },
    same: [
      [UUID, UUID],
      [UUID.toUpperCase(), UUID],
      [`{${UUID}}`, UUID],
      [UUID.replaceAll('-', ''), UUID],
      ['0b5e-3c1a-9f00-4d7e-8a11-c0ff-ee00-beef', UUID],
    ],
    impossible: [],
    refused: [
      '',
      `{${UUID}`,
      `${UUID}}`,
      `${UUID}0`,
      UUID.replace('b', 'g'),
      `${UUID}\n`,
      7,
      null,
      `0-${UUID.slice(2)}`,
    ],
  },
  {
    type: { name: 'boolean' },
    same: [
      [true, 'true'],
      ['T', 'true'],
      ['FALSE', 'false'],
      ['f', 'false'],
    ],
    impossible: [],
    refused: [1, 0, '', 'maybe', null, undefined],
  },
  {
    type: { name: 'text' },
    same: [
      ['', ''],
      [' Tea ', ' Tea '],
      ['🫖', '🫖'],
      // Unicode forms are different texts to Postgres, and stay different here.
      ['e\u0301', 'e\u0301'],
      ['\u00e9', '\u00e9'],
    ],
    impossible: ['a\0b', '\ud83e', 'x\udd56'],
    refused: [1, null, undefined, ['a'], Buffer.from('a')],
  },
  {
    type: { name: 'varchar' },
    same: [
      ['abc', 'abc'],
      ['🫖🫖🫖', '🫖🫖🫖'],
      ['ab ', 'ab '],
    ],
    impossible: ['\0'],
    refused: [123],
  },
  {
    type: { name: 'char' },
    same: [
      ['ab', 'ab'],
      ['ab ', 'ab'],
      ['abc      ', 'abc'],
      ['   ', ''],
      ['a\t', 'a\t'],
      ['ab\u00a0', 'ab\u00a0'],
    ],
    impossible: ['\0'],
    refused: [123],
  },
  { type: { name: 'enum', sqlName: 'public.kind' }, same: [['any', 'any']], impossible: ['\0'], refused: [1] },
]

describe.each(CASES.map((each) => ({ name: each.type.name, ...each })))(
  'an id of type $name',
  ({ type, same, impossible, refused }) => {
    it('has one spelling', () => {
      for (const [value, canonical] of same) {
        expect(column(type).canonical(value)).toBe(canonical)
        expect(column(type).canonical(canonical)).toBe(canonical)
      }
    })

    it('is impossible where no row can have it', () => {
      for (const value of impossible) expect(column(type).canonical(value)).toBe(IMPOSSIBLE)
    })

    it('is refused with its column and what was found', () => {
      for (const value of refused) {
        const error = refusal(() => column(type, 'code').canonical(value))
        expect(isCorralError(error, 'KEY_INVALID')).toBe(true)
        expect(String(error)).toContain('`code`')
      }
    })
  },
)

describe('an id of several columns', () => {
  const columns = [column({ name: 'integer' }, 'shop'), column({ name: 'text' }, 'code')]

  it('is an object, in any order, and comes out in the order of the columns', () => {
    expect(canonicalId(columns, { code: 'a', shop: '07' })).toEqual(['7', 'a'])
  })

  it('is impossible when one part is, but a malformed part is still an error', () => {
    expect(canonicalId(columns, { shop: 2n ** 63n, code: 'a' })).toBe(IMPOSSIBLE)
    expect(() => canonicalId(columns, { shop: 2n ** 63n, code: 7 })).toThrow(/`code`/)
  })

  it.each([[7], ['a'], [null], [['7', 'a']], [{ shop: 7 }], [{ shop: 7, code: 'a', extra: 1 }]])('is not %j', (id) => {
    expect(
      isCorralError(
        refusal(() => canonicalId(columns, id)),
        'KEY_INVALID',
      ),
    ).toBe(true)
  })
})

describe('an id of one column', () => {
  const columns = [column({ name: 'bigint' })]

  it('is the bare value or an object', () => {
    expect(canonicalId(columns, '007')).toEqual(['7'])
    expect(canonicalId(columns, { id: 7n })).toEqual(['7'])
    expect(() => canonicalId(columns, { ID: 7 })).toThrow(/`ID`/)
  })
})

describe('the id of a loaded row', () => {
  const columns = [column({ name: 'bigint' }), column({ name: 'char' }, 'code')]

  it('does not depend on what the driver made of it', () => {
    for (const id of [7, 7n, '7']) expect(idFromRow(columns, { id, code: 'a  ', more: 1 })).toEqual(['7', 'a'])
  })

  it('is undefined where a column is null', () => {
    expect(idFromRow(columns, { id: 7, code: null })).toBeUndefined()
  })

  it('is refused where the row has no such column, or a value that does not tell ids apart', () => {
    expect(() => idFromRow(columns, { code: 'a' })).toThrow(/`id`/)
    expect(() => idFromRow(columns, { id: 2 ** 60, code: 'a' })).toThrow(/`id`/)
    expect(() => idFromRow(columns, { id: 1, code: 7 })).toThrow(/`code`/)
  })
})
