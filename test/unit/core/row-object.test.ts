import { inspect, isDeepStrictEqual } from 'node:util'
import { describe, expect, it } from 'vitest'
import { copyRow, rowObject } from '../../../src/core/row-object.js'
import { bytesEach } from '../../support/collect-garbage.js'

const named = (properties: number) => Array.from({ length: properties }, (_, at) => `column${at}`)

function filled(names: readonly string[]): Record<string, unknown> {
  const row = rowObject(names.length)
  for (const name of names) row[name] = 1
  return row
}

describe.each([0, 1, 4, 11, 26, 27, 60, 300, 1_600])('a row of %i properties', (properties) => {
  it('is like any other object', () => {
    const plain = Object.fromEntries(named(properties).map((name) => [name, 1]))
    // The first seven are made with more room than the others.
    for (let time = 0; time < 10; time++) {
      const row = filled(named(properties))
      expect(Object.getPrototypeOf(row)).toBe(Object.prototype)
      expect(Reflect.ownKeys(row)).toEqual(Reflect.ownKeys(plain))
      expect(isDeepStrictEqual(row, plain)).toBe(true)
      expect([inspect(row), JSON.stringify(row)]).toEqual([inspect(plain), JSON.stringify(plain)])
      expect(structuredClone(row)).toStrictEqual(plain)
    }
  })
})

it.each([11, 20, 40, 100])('a frozen row of %i properties takes their room and no more', async (properties) => {
  const names = named(properties)
  const row = filled(names)
  const makes = [() => Object.freeze(filled(names)), () => Object.freeze(copyRow({ ...row }, names))]
  for (const make of makes) expect(await bytesEach(make)).toBeLessThan(24 + 8 * properties + 25)
})

it('has as much room as before when rows of fewer properties came first', () => {
  for (let time = 0; time < 10; time++) rowObject(3)
  expect(filled(['a', 'b', 'c', 'd'])).toEqual({ a: 1, b: 1, c: 1, d: 1 })
})

it('makes room for names that mean something to objects', () => {
  const row = JSON.parse('{"__proto__": 1, "constructor": 2, "7": 3, "toString": 4, "left out": 5}')
  const copy = copyRow(row, ['7', '__proto__', 'constructor', 'toString'])
  expect(JSON.stringify(copy)).toBe('{"7":3,"__proto__":1,"constructor":2,"toString":4}')
  expect(Object.getPrototypeOf(copy)).toBe(Object.prototype)
})
