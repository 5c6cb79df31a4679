import { Buffer } from 'node:buffer'
import { types } from 'node:util'
import { bytesToText, textToBytes } from './bytes-text.js'
import type { IntervalClass } from './interval-class.js'
import { lockedDate } from './locked-date.js'
import { hasOnlyItems, isPlainNumber, MAX_DEPTH } from './plain-json.js'
import { Refusal } from './uncacheable.js'

/**
 * The form of values that JSON has no form for: text, finite numbers, booleans and null stand for themselves,
 * an object stands for an object, and everything else is an array that begins with its tag.
 *
 * `["a",…]` array · `["b",base64]` Buffer · `["d",ms|null]` Date · `["f","nan"|"inf"|"-inf"|"-0"]` number ·
 * `["i",{…}]` interval · `["n",digits]` bigint · `["o",{…}]` object without prototype · `["u",base64]` Uint8Array ·
 * `["v"]` undefined
 */

/** Stands for a malformed value, since undefined is a value here. */
export const MALFORMED = Symbol('malformed')

const NUMBERS = new Map([
  ['nan', Number.NaN],
  ['inf', Number.POSITIVE_INFINITY],
  ['-inf', Number.NEGATIVE_INFINITY],
  ['-0', -0],
])

/** `BigInt(text)` is slower than linear; Postgres' widest integers have 19 digits. */
const MAX_BIGINT_DIGITS = 1_000
const BIGINT = /^(?:0|-?[1-9]\d*)$/
/** Farthest instant a Date can hold from the epoch (ECMA-262, 21.4.1.1). */
const MAX_EPOCH_MS = 8.64e15

/** The tagged form of a value, or why it has none. */
export function toTagged(value: unknown, intervals: IntervalClass): unknown {
  return tag(value, intervals, [])
}

/** The value of a tagged form, not frozen yet, or `MALFORMED`. Works in place: `node` must come fresh from `JSON.parse`. */
export function fromTagged(node: unknown, intervals: IntervalClass): unknown {
  return untag(node, intervals, 0)
}

/** Milliseconds since the epoch; null for an invalid date. */
export function dateToMs(date: Date): number | null | Refusal {
  if (Object.keys(date).length > 0) return new Refusal('a Date with properties of its own')
  const epochMs = date.getTime()
  return Number.isNaN(epochMs) ? null : epochMs
}

/** A locked date, or `MALFORMED`. */
export function msToDate(epochMs: unknown): unknown {
  if (epochMs === null) return lockedDate(Number.NaN)
  if (!Number.isInteger(epochMs) || Math.abs(epochMs as number) > MAX_EPOCH_MS) return MALFORMED
  return lockedDate(epochMs as number)
}

export function bigintToText(value: bigint): string | Refusal {
  const text = String(value)
  return text.length <= MAX_BIGINT_DIGITS ? text : new Refusal(`a bigint of ${text.length} digits`)
}

export function textToBigint(text: unknown): unknown {
  return typeof text === 'string' && text.length <= MAX_BIGINT_DIGITS && BIGINT.test(text) ? BigInt(text) : MALFORMED
}

function tag(value: unknown, intervals: IntervalClass, ancestors: object[]): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value
    case 'number':
      return isPlainNumber(value) ? value : ['f', numberName(value)]
    case 'undefined':
      return ['v']
    case 'bigint':
      return tagged('n', bigintToText(value))
    case 'object':
      return value === null ? null : tagObject(value, intervals, ancestors)
    default:
      return new Refusal(`a ${typeof value}`)
  }
}

function numberName(value: number): string {
  if (Number.isNaN(value)) return 'nan'
  return value === 0 ? '-0' : value > 0 ? 'inf' : '-inf'
}

function tagged(mark: string, content: unknown): unknown {
  return content instanceof Refusal ? content : [mark, content]
}

function tagObject(value: object, intervals: IntervalClass, ancestors: object[]): unknown {
  const prototype = Object.getPrototypeOf(value)
  if (prototype === Date.prototype && types.isDate(value)) return tagged('d', dateToMs(value))
  if (types.isUint8Array(value)) {
    if (prototype === Buffer.prototype) return ['b', bytesToText(value)]
    if (prototype === Uint8Array.prototype) return ['u', bytesToText(value)]
  }
  const isList = Array.isArray(value)
  if (isList ? prototype === Array.prototype : prototype === Object.prototype || prototype === null) {
    if (ancestors.includes(value)) return new Refusal('a cyclic structure')
    if (ancestors.length >= MAX_DEPTH) return new Refusal(`a structure nested deeper than ${MAX_DEPTH}`)
    ancestors.push(value)
    const content = isList ? tagList(value, intervals, ancestors) : tagProperties(value, intervals, ancestors)
    ancestors.pop()
    return prototype === null ? tagged('o', content) : content
  }
  const fields = intervals.fieldsOf(value)
  return fields ? ['i', fields] : new Refusal(`an instance of ${prototype?.constructor?.name || 'an unnamed class'}`)
}

function tagList(list: readonly unknown[], intervals: IntervalClass, ancestors: object[]): unknown {
  if (!hasOnlyItems(list)) return new Refusal('an array with properties of its own')
  const content: unknown[] = ['a']
  for (let i = 0; i < list.length; i++) {
    if (list[i] === undefined && !(i in list)) return new Refusal('a sparse array')
    const node = tag(list[i], intervals, ancestors)
    if (node instanceof Refusal) return node
    content.push(node)
  }
  return content
}

function tagProperties(value: object, intervals: IntervalClass, ancestors: object[]): unknown {
  if (Object.getOwnPropertySymbols(value).length > 0) return new Refusal('an object with symbol keys')
  // Without a prototype, a key `__proto__` is a key like any other.
  const content: Record<string, unknown> = Object.create(null)
  for (const [key, inside] of Object.entries(value)) {
    const node = tag(inside, intervals, ancestors)
    if (node instanceof Refusal) return node
    content[key] = node
  }
  return content
}

function untag(node: unknown, intervals: IntervalClass, depth: number): unknown {
  if (typeof node === 'number') return Number.isFinite(node) ? node : MALFORMED
  if (typeof node !== 'object' || node === null) return node
  if (!Array.isArray(node)) return untagProperties(node, intervals, depth)
  if (node[0] === 'a') return untagList(node, intervals, depth)
  if (node[0] === 'v') return node.length === 1 ? undefined : MALFORMED
  return node.length === 2 ? untagOne(node[0], node[1], intervals, depth) : MALFORMED
}

function untagOne(mark: unknown, content: unknown, intervals: IntervalClass, depth: number): unknown {
  switch (mark) {
    case 'b':
      return textToBytes(content) ?? MALFORMED
    case 'u': {
      const bytes = textToBytes(content)
      return bytes ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength) : MALFORMED
    }
    case 'd':
      return msToDate(content)
    case 'n':
      return textToBigint(content)
    case 'f':
      return NUMBERS.get(content as string) ?? MALFORMED
    case 'i':
      return isObject(content) ? (intervals.fromFields(content) ?? MALFORMED) : MALFORMED
    case 'o':
      return isObject(content) && !Array.isArray(content)
        ? untagProperties(Object.assign(Object.create(null), content), intervals, depth)
        : MALFORMED
    default:
      return MALFORMED
  }
}

function isObject(content: unknown): content is object {
  return typeof content === 'object' && content !== null
}

function untagList(node: unknown[], intervals: IntervalClass, depth: number): unknown {
  if (depth >= MAX_DEPTH) return MALFORMED
  const list: unknown[] = []
  for (let i = 1; i < node.length; i++) {
    const value = untag(node[i], intervals, depth + 1)
    if (value === MALFORMED) return MALFORMED
    list.push(value)
  }
  return list
}

/** Assignment to an own property never reaches a prototype, not even under the name `__proto__`. */
function untagProperties(node: object, intervals: IntervalClass, depth: number): unknown {
  if (depth >= MAX_DEPTH) return MALFORMED
  const properties = node as Record<string, unknown>
  for (const key of Object.keys(properties)) {
    const value = untag(properties[key], intervals, depth + 1)
    if (value === MALFORMED) return MALFORMED
    properties[key] = value
  }
  return properties
}
