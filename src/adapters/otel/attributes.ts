import type { Attributes, AttributeValue } from '@opentelemetry/api'
import { isCorralError } from '../../core/errors.js'
import { ATTRIBUTES, type AttributeKey } from './attribute-names.js'

/** Values under the names that OpenTelemetry gets to see; what is undefined is left out. */
export function named(values: { readonly [Key in AttributeKey]?: AttributeValue | undefined }): Attributes {
  const attributes: Attributes = {}
  for (const key in values) {
    const value = values[key as AttributeKey]
    if (value !== undefined) attributes[ATTRIBUTES[key as AttributeKey].name] = value
  }
  return attributes
}

/** What a driver's code or a class may look like; anything else could be text of somebody's own, with values in it. */
const WORD = /^[A-Za-z][\w.-]{0,39}$|^[0-9A-Z]{5}$/

/** What kind of error it was, never what it says: messages of drivers quote values. */
export function errorType(error: unknown): string {
  if (isCorralError(error)) return error.code
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown }
  if (typeof code === 'string' && WORD.test(code)) return code
  // The word that the conventions have for the rest.
  return typeof name === 'string' && WORD.test(name) ? name : '_OTHER'
}
