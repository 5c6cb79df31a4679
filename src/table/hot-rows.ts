import type { TableFacts } from '../adapters/postgres/catalog.js'
import { ConfigError, inWords } from '../core/errors.js'
import type { CanonicalId } from '../core/ports.js'
import type { EngineParts, NearTier } from '../engine/filler.js'
import { HotCopies } from '../engine/hot-copies.js'
import type { HotKeys } from '../engine/hot-keys.js'
import type { Reader } from '../engine/reader.js'

/** A repository's choice to have its keys counted, and hot ones spread. */
export interface HotRowOptions {
  /** 0: keys are only counted. */
  readonly copies: number
  readonly copyTtlMs: number
}

/** @throws ConfigError where copies could not be held against a floor: the table has no stamp. */
export function checkHotRows({ entity, version }: TableFacts, hotKeys: HotRowOptions | undefined): void {
  if (hotKeys === undefined || hotKeys.copies === 0 || version !== undefined) return
  throw new ConfigError('hotKeys.copies', 'a table with a version stamp', inWords(`${entity}, which has none`))
}

/** Registers a table's rows with the instance's hot keys, and reads them by way of their copies. */
export function openHotRows(options: {
  parts: EngineParts & { readonly hotKeys: HotKeys }
  facts: TableFacts
  prefix: string
  hotKeys: HotRowOptions
  fill: { readonly jitter: number; readonly lease: { readonly minMs: number } }
  reader: Reader<CanonicalId, object>
  tier: NearTier<CanonicalId, object> | undefined
}): HotCopies<CanonicalId, object> {
  const { parts, facts, prefix, fill, reader, tier } = options
  const { copies, copyTtlMs } = options.hotKeys
  const { entity } = facts
  parts.hotKeys.register({ prefix, entity, copies })
  // A copy costs two round trips, so the shortest lease there is will do.
  const settings = { copies, copyTtlMs, jitter: fill.jitter, leaseMs: fill.lease.minMs }
  return new HotCopies({ parts, entity, reader, hotKeys: parts.hotKeys, settings, tier })
}
