import type { CanonicalId } from '../core/ports.js'
import { BoundedReader, type ProvenTier } from '../engine/bounded-reader.js'
import { Filler, type ReadSource } from '../engine/filler.js'
import { Reader } from '../engine/reader.js'
import type { LoadCost } from '../policy/load-cost.js'
import type { TableOptions, TableParts } from './parts.js'
import type { RowTier } from './row-tier.js'

/** The reader of one source, and the one beside it for reads that name a bound. */
export function openReaders<Value>(
  parts: TableParts,
  { read, fill, knownBytes }: TableOptions,
  source: ReadSource<CanonicalId, Value>,
  { cost, prefix, ...options }: { cost: LoadCost; prefix: string; tier?: RowTier | undefined },
) {
  const tier = options.tier as ProvenTier<CanonicalId, Value> | undefined
  const filler = new Filler({ parts, source, settings: fill, cost, tier })
  const reader = new Reader({
    ...{ parts, source, filler, flights: parts.flights, settings: read, tier },
    // What memory holds need not be recognized.
    knownBytes: tier === undefined && source.kind === 'row' ? knownBytes : 0,
  })
  const { invalidation, watermark, isRelayed } = parts
  const { entity } = source
  const bounded = new BoundedReader({
    ...{ parts, invalidation, prefix, entity, reader, filler, tier, hardTimeoutMs: read.hardTimeoutMs },
    prove: (key, _id, boundMs) => (isRelayed(entity) ? watermark.prove([key], boundMs) : undefined),
  })
  return { reader, bounded }
}
