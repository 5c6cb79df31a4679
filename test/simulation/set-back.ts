import { envelope } from '../../src/adapters/codec/envelope.js'
import type { CacheKey } from '../../src/core/key.js'
import type { FillRequest, StoredBytes } from '../../src/core/ports.js'
import { compareVersions } from '../../src/core/version.js'
import type { Arrival } from './redis/connection.js'

/**
 * What a fill or a published row has done wrong that lies where something newer did; undefined: nothing. No reader is promised that it cannot
 * happen where fences are evicted, so no history would show it. Whoever could not use what was there may have been unable to tell.
 */
export function setBack({ by, operation, key, request, before, after }: Arrival): string | undefined {
  if (operation !== 'fill' && operation !== 'fence') return undefined
  if (operation === 'fill' && (request as FillRequest).replacesNewer) return undefined
  const [was, is] = [versionIn(before, key), versionIn(after, key)]
  if (was === undefined || is === undefined || compareVersions(is, was) >= 0) return undefined
  return `a ${operation} of ${by} has put ${is} in the place of ${was} under ${key}`
}

function versionIn(bytes: StoredBytes | null, key: CacheKey): string | undefined {
  const entry = bytes === null ? undefined : envelope.open(bytes, key)
  return entry === undefined || 'unreadable' in entry ? undefined : (entry.version ?? undefined)
}
