import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'

/**
 * A digest that two statements share exactly when they are the same text with the same parameters, and what else makes their
 * results differ.
 *
 * Parameters are told apart by type as well as by value: `1`, `1n`, `'1'`, `true` and `null` are five different ones, whatever
 * Postgres makes of them.
 */
export function statementIdentity(
  statement: { readonly sql: string; readonly parameters: readonly unknown[] },
  more: readonly string[] = [],
): string {
  const text = JSON.stringify([statement.sql, statement.parameters.map(identityOf), more])
  return createHash('sha256').update(text).digest('base64url')
}

/** The parameter as text that begins with its type. What is no plain value counts as what the driver would send. */
function identityOf(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return `s${value}`
    case 'number':
      return `n${value}`
    case 'bigint':
      return `i${value}`
    case 'boolean':
      return `b${value}`
    case 'object':
      return value === null ? 'null' : objectIdentity(value)
    default:
      return typeof value
  }
}

function objectIdentity(value: object): string {
  if (value instanceof Date) return `d${value.getTime()}`
  if (ArrayBuffer.isView(value)) {
    return `x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')}`
  }
  if (Array.isArray(value)) return `a${JSON.stringify(value.map(identityOf))}`
  const { toPostgres } = value as { toPostgres?: unknown }
  if (typeof toPostgres === 'function') return `p${identityOf(toPostgres.call(value, (inner: unknown) => inner))}`
  return `o${JSON.stringify(value)}`
}
