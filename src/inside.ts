import type { TelemetryOptions } from './adapters/otel/telemetry-options.js'
import type { AnyDatabase } from './adapters/postgres/row-writer.js'
import type { RedisClient } from './adapters/redis/connection.js'
import type { Assembly } from './assembly.js'
import type { Settings } from './config.js'
import type { ResolvedSlot } from './relay-options.js'
import type { CachedTable } from './table/cached-table.js'
import type { TableOptions } from './table/parts.js'
import type { TableRepository } from './table-repository.js'

/** What an operator's tools need of an instance beyond its methods. No part of the public API. */
export interface Inside {
  readonly db: AnyDatabase
  /** As it was given. */
  readonly replica: { readonly db?: AnyDatabase } | undefined
  /** The application's own client. Undefined: the cache is in this process. */
  readonly redis: RedisClient | undefined
  readonly namespace: string
  readonly secret: string | readonly string[] | undefined
  /** As it was given. */
  readonly telemetry: boolean | TelemetryOptions | undefined
  readonly settings: Settings
  /** The slot that relays of the namespace read. Undefined: they read the outbox. */
  readonly slot: ResolvedSlot | undefined
  /** Whether processes of this config relay; an operator's never does. */
  readonly runs: boolean
  /** In the order they were made; a table may have several. */
  readonly repositories: readonly RepositoryInside[]
  readonly assembly: Pick<Assembly, 'relay' | 'store' | 'table'>
}

export interface RepositoryInside {
  /** As the application calls it. */
  readonly table: string
  readonly options: TableOptions
  readonly repository: TableRepository
  /** @throws ConfigError when the table is not fit to be cached, SourceError, ClosedError. */
  readonly open: () => Promise<CachedTable>
}

/** In the registry of all symbols: the tools and the application may have loaded this package twice, as ESM and as CommonJS. */
const INSIDE = Symbol.for('corral.inside')

/** Not enumerable, so that an instance looks as it always did. */
export function withInside<Instance extends object>(instance: Instance, inside: Inside): Instance {
  return Object.defineProperty(instance, INSIDE, { value: inside })
}

/** Undefined for what is no instance of Corral. */
export function insideOf(instance: unknown): Inside | undefined {
  if (typeof instance !== 'object' || instance === null) return undefined
  return (instance as { readonly [INSIDE]?: Inside })[INSIDE]
}

const OPERATED = Symbol.for('corral.operated')

/**
 * From now on instances of this process run no relay by option `relay`: an operator's process is none of the fleet. One that leads for a moment
 * only would be enough to make a replication slot that nobody reads.
 */
export function operate(): void {
  ;(globalThis as { [OPERATED]?: boolean })[OPERATED] = true
}

export function isOperated(): boolean {
  return (globalThis as { [OPERATED]?: boolean })[OPERATED] === true
}

/** Runs what is to relay after all. */
export function asRelay<Value>(act: () => Value): Value {
  const before = isOperated()
  ;(globalThis as { [OPERATED]?: boolean })[OPERATED] = false
  try {
    return act()
  } finally {
    ;(globalThis as { [OPERATED]?: boolean })[OPERATED] = before
  }
}
