declare const brand: unique symbol

/**
 * The source-version stamp of a row: a non-negative 64-bit integer as a decimal string without leading zeros.
 *
 * It stays a string from Postgres to Redis and back: doubles (JavaScript numbers, Lua numbers) lose
 * the last digits of a large one and would call two different versions equal.
 */
export type Version = string & { readonly [brand]: 'Version' }

/** Digits of the largest unsigned 64-bit number. A transaction id (`xid8`) may have as many, a stamp (`bigint`) one less. Both are padded to this width. */
export const VERSION_DIGITS = 20

const DECIMAL = /^(?:0|[1-9]\d{0,18})$/

/**
 * Reads what a driver returned for a version column. Undefined when it is not a non-negative integer, or a number that is not exact: two versions
 * would be one.
 */
export function toVersion(value: unknown): Version | undefined {
  const isExact = typeof value === 'bigint' || Number.isSafeInteger(value)
  const text = typeof value === 'string' ? value : isExact ? String(value) : ''
  return DECIMAL.test(text) ? (text as Version) : undefined
}

/** Negative, zero or positive as `a` is older than, equal to or newer than `b`. Exact at any size. */
export function compareVersions(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length
  return a < b ? -1 : a > b ? 1 : 0
}

/** The next larger stamp: what a row must reach at least after the row with `version` is gone. */
export function successor(version: Version): Version {
  return String(BigInt(version) + 1n) as Version
}
