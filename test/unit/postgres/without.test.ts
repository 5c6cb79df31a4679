import { expect, it } from 'vitest'
import { without } from '../../../src/adapters/postgres/without.js'

it('copies a row but for some properties, in their order, and whatever its columns are called', () => {
  const row = JSON.parse(
    '{"id": 1, "__proto__": {"polluted": true}, "constructor": null, "corralxid": "7", "name": "tea"}',
  )
  const kept = without(row, new Set(['corralxid', 'not there']))
  expect(Object.keys(kept)).toEqual(['id', '__proto__', 'constructor', 'name'])
  expect(Object.getPrototypeOf(kept)).toBe(Object.prototype)
  expect(Object.getOwnPropertyDescriptor(kept, '__proto__')?.value).toEqual({ polluted: true })
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
  expect(row).toHaveProperty('corralxid', '7')
})
