import { Buffer } from 'node:buffer'
import { createRequire } from 'node:module'
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'

/** postgres-interval as pg-types loads it: the class `pg` gives to intervals. */
const require = createRequire(import.meta.url)
export const makeInterval: (text: string) => object = createRequire(
  createRequire(require.resolve('pg')).resolve('pg-types'),
)('postgres-interval')

/** Any text, half surrogate pairs included. */
const text = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: 'grapheme', maxLength: 12 }) },
  {
    weight: 1,
    arbitrary: fc.string({
      unit: fc.integer({ min: 0, max: 0xffff }).map((c) => String.fromCharCode(c)),
      maxLength: 8,
    }),
  },
)

const key = fc.oneof(
  { weight: 5, arbitrary: text },
  { weight: 1, arbitrary: fc.constantFrom('__proto__', 'constructor', 'toJSON', 'prototype', 'length', '0', '17') },
)

const scalar = fc.oneof(
  text,
  fc.integer(),
  fc.double(),
  fc.constantFrom(0, -0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.MAX_VALUE),
  fc.bigInt(),
  fc.boolean(),
  fc.constantFrom(null, undefined),
  fc.date({ noInvalidDate: false }),
  fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
  fc.uint8Array({ maxLength: 20 }),
  fc
    .tuple(fc.integer({ min: -99, max: 99 }), fc.integer({ min: 0, max: 23 }), fc.integer({ min: 0, max: 999_999 }))
    .map(([days, hours, micros]) =>
      makeInterval(`${days} days ${String(hours).padStart(2, '0')}:05:07.${String(micros).padStart(6, '0')}`),
    ),
)

const value = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    { weight: 4, arbitrary: scalar },
    { weight: 1, arbitrary: fc.array(tie('value'), { maxLength: 4 }) },
    { weight: 1, arbitrary: fc.array(fc.tuple(key, tie('value')), { maxLength: 4 }).map((e) => objectOf(e, {})) },
    {
      weight: 1,
      arbitrary: fc.array(fc.tuple(key, tie('value')), { maxLength: 3 }).map((e) => objectOf(e, Object.create(null))),
    },
  ),
})).value

/** Rows with any names and any values the driver can return, and some it cannot. */
export const row: fc.Arbitrary<object> = fc
  .array(fc.tuple(key, value), { maxLength: 8 })
  .map((entries) => objectOf(entries, {}))

/** Defines instead of assigning, so that `__proto__` becomes a key. */
export function objectOf(entries: readonly (readonly [string, unknown])[], target: object): object {
  for (const [name, held] of entries) {
    Object.defineProperty(target, name, { value: held, enumerable: true, writable: true, configurable: true })
  }
  return target
}

/**
 * Deep-equal both ways and, unlike `isDeepStrictEqual`, with all keys in the same order and with an invalid Date equal
 * to another one (for which Node 20 compares NaN with NaN).
 */
export function isSame(a: unknown, b: unknown): boolean {
  if (!isSameTree(a, b)) return false
  return hasInvalidDate(a) || (isDeepStrictEqual(a, b) && isDeepStrictEqual(b, a))
}

function isSameTree(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || a === null || typeof b !== 'object' || b === null) return Object.is(a, b)
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false
  if (a instanceof Date && b instanceof Date) return Object.is(a.getTime(), b.getTime())
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b) === 0
  const [left, right] = [Object.entries(a), Object.entries(b)]
  return (
    left.length === right.length &&
    left.every(([name, value], i) => name === right[i]?.[0] && isSameTree(value, right[i][1]))
  )
}

function hasInvalidDate(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return false
  return value instanceof Date ? Number.isNaN(value.getTime()) : Object.values(value).some(hasInvalidDate)
}
