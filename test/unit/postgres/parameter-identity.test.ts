import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { statementIdentity } from '../../../src/adapters/postgres/parameter-identity.js'

function identityOf(...parameters: unknown[]): string {
  return statementIdentity({ sql: 'select $1', parameters })
}

describe('the identity of a statement', () => {
  it.each<[string, unknown, unknown]>([
    ['a number and its text', 1, '1'],
    ['a number and a bigint', 1, 1n],
    ['a bigint and its text', 1n, '1'],
    ['a boolean and its text', true, 'true'],
    ['null and its text', null, 'null'],
    ['null and undefined', null, undefined],
    ['a date and its text', new Date(0), new Date(0).toISOString()],
    ['two dates', new Date(0), new Date(1)],
    ['bytes and their text', Buffer.from('ab'), 'ab'],
    ['two bytes', Buffer.from('ab'), Buffer.from('ac')],
    ['a list and its text', [1, 2], '1,2'],
    ['lists of differing types', [1], ['1']],
    ['lists nested differently', [[1], 2], [1, [2]]],
    ['objects', { a: 1 }, { a: 2 }],
    ['an object and its text', { a: 1 }, '{"a":1}'],
    ['what the driver would send', { toPostgres: () => 'a' }, { toPostgres: () => 'b' }],
    ['texts that run together', 'ab', 'abc'],
  ])('tells apart %s', (_, some, other) => {
    expect(identityOf(some)).not.toBe(identityOf(other))
  })

  it('is one for equal parameters', () => {
    const make = () => [1, '1', 1n, null, new Date(5), Buffer.from('ab'), [1, ['x']], { a: [1] }]
    expect(identityOf(...make())).toBe(identityOf(...make()))
  })

  it('tells apart where one parameter ends and the next begins, for any texts', () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { maxLength: 4 }), fc.array(fc.string(), { maxLength: 4 }), (some, other) => {
        expect(identityOf(...some) === identityOf(...other)).toBe(JSON.stringify(some) === JSON.stringify(other))
      }),
    )
  })

  it('is another for another text, and for what else makes results differ', () => {
    const statement = { sql: 'select $1', parameters: [1] }
    expect(statementIdentity({ ...statement, sql: 'select  $1' })).not.toBe(statementIdentity(statement))
    expect(statementIdentity(statement, ['2'])).not.toBe(statementIdentity(statement, ['1']))
    expect(statementIdentity(statement)).toMatch(/^[\w-]{43}$/)
  })
})
