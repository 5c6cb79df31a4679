import { Buffer } from 'node:buffer'
import { types } from 'node:util'
import { rowObject } from '../../core/row-object.js'
import { bytesToText, textToBytes } from './bytes-text.js'
import type { IntervalClass } from './interval-class.js'
import { freezePlainJson, isPlainJson, isPlainNumber } from './plain-json.js'
import { freezeDeep, markCarrier } from './read-only.js'
import { bigintToText, dateToMs, fromTagged, MALFORMED, msToDate, textToBigint, toTagged } from './tagged-value.js'
import { Refusal, type Uncacheable } from './uncacheable.js'

/** How one value is written. `j`: as plain JSON. `d`: Date. `n`: bigint. `b`: Buffer. `x`: tagged (tagged-value.ts). */
type Mark = 'j' | 'd' | 'n' | 'b' | 'x'

const PLAIN = 'j'.charCodeAt(0)

/**
 * Rows of one list of properties, as arrays: first the signature, one mark for each value, then the values. The names
 * are in no row, which makes the text about a fifth shorter and lets one `JSON.parse` and one loop read it.
 */
export class RowLayout {
  /** In the order a row of theirs has them: JavaScript puts names that look like array indexes first. */
  readonly properties: readonly string[]
  /** What each row starts from. `__proto__` cannot be added by assignment: such rows start as a copy that has it. */
  readonly #start: () => Record<string, unknown>
  readonly #intervals: IntervalClass

  constructor(properties: readonly string[], intervals: IntervalClass) {
    // Parsed and not assembled, because this way `__proto__` is a property like any other.
    const blank = JSON.parse(`{${properties.map((property) => `${JSON.stringify(property)}:null`).join()}}`) as object
    this.properties = Object.keys(blank)
    this.#start = Object.hasOwn(blank, '__proto__') ? () => ({ ...blank }) : () => rowObject(this.properties.length)
    this.#intervals = intervals
  }

  write(row: object): unknown[] | Uncacheable {
    if (!this.#fits(row)) return { reason: 'shape', uncacheable: this.#firstOther(row), found: describeRow(row) }
    const parts: unknown[] = ['']
    let signature = ''
    for (let i = 0; i < this.properties.length; i++) {
      const property = this.properties[i] as string
      const value = (row as Record<string, unknown>)[property]
      const mark = markOf(value)
      const content = mark === 'j' ? value : this.#write(mark, value)
      if (content instanceof Refusal) return { reason: 'value', uncacheable: property, found: content.found }
      signature += mark
      parts.push(content)
    }
    parts[0] = signature
    return parts
  }

  /** A frozen row, or undefined when the parts are not what `write` makes. They must come fresh from `JSON.parse`. */
  read(parts: unknown): object | undefined {
    const { properties } = this
    if (!Array.isArray(parts) || parts.length !== properties.length + 1) return undefined
    const signature: unknown = parts[0]
    if (typeof signature !== 'string' || signature.length !== properties.length) return undefined
    const row = this.#start()
    const carried: string[] = []
    for (let i = 0; i < properties.length; i++) {
      const property = properties[i] as string
      let value: unknown = parts[i + 1]
      if (signature.charCodeAt(i) === PLAIN) {
        if (typeof value !== 'string' && !freezePlainJson(value)) return undefined
      } else {
        const mark = signature[i] as Mark
        value = this.#read(mark, value)
        if (value === MALFORMED) return undefined
        if ((mark === 'x' || mark === 'b') && freezeDeep(value)) carried.push(property)
      }
      row[property] = value
    }
    markCarrier(row, carried)
    return Object.freeze(row)
  }

  #fits(row: object): boolean {
    const keys = Object.keys(row)
    if (keys.length !== this.properties.length || Object.getPrototypeOf(row) !== Object.prototype) return false
    for (let i = 0; i < keys.length; i++) {
      if (keys[i] !== this.properties[i]) return false
    }
    return Object.getOwnPropertySymbols(row).length === 0
  }

  #firstOther(row: object): string {
    const keys = Object.keys(row)
    const at = this.properties.findIndex((property, i) => property !== keys[i])
    return (at === -1 ? keys[this.properties.length] : this.properties[at]) ?? ''
  }

  #write(mark: Mark, value: unknown): unknown {
    switch (mark) {
      case 'd':
        return dateToMs(value as Date)
      case 'n':
        return bigintToText(value as bigint)
      case 'b':
        return bytesToText(value as Buffer)
      default:
        return toTagged(value, this.#intervals)
    }
  }

  /** Marks are not to be trusted: a later release may know more of them. */
  #read(mark: Mark, content: unknown): unknown {
    switch (mark) {
      case 'd':
        return msToDate(content)
      case 'n':
        return textToBigint(content)
      case 'b':
        return textToBytes(content) ?? MALFORMED
      case 'x':
        return fromTagged(content, this.#intervals)
      default:
        return MALFORMED
    }
  }
}

function markOf(value: unknown): Mark {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return 'j'
    case 'number':
      return isPlainNumber(value) ? 'j' : 'x'
    case 'bigint':
      return 'n'
    case 'object':
      return value === null ? 'j' : markOfObject(value)
    default:
      return 'x'
  }
}

function markOfObject(value: object): Mark {
  const prototype = Object.getPrototypeOf(value)
  if (prototype === Date.prototype && types.isDate(value)) return 'd'
  if (prototype === Buffer.prototype && types.isUint8Array(value)) return 'b'
  return isPlainJson(value) ? 'j' : 'x'
}

/** Names of columns are no secret, but a table may have 1,600 of them. */
const LONGEST_LIST = 200

function describeRow(row: object): string {
  const names = Object.keys(row).join(', ')
  return `a row of ${names.length > LONGEST_LIST ? `${names.slice(0, LONGEST_LIST)}…` : names || 'no columns'}`
}
