import type { PostgresServer } from '../../test/support/servers/postgres.js'
import type { RedisServer } from '../../test/support/servers/redis.js'

/** The servers an incident may use. What it breaks it starts itself. */
export interface Scene {
  readonly postgres: PostgresServer
  readonly redis: RedisServer
}

/** One kind of harm, counted on both sides under the same load and the same faults. */
export interface Damage {
  readonly what: string
  readonly naive: number
  readonly corral: number
  /** What could have been harmed. */
  readonly of: number
}

/** A story that happened to somebody, and its replay on real servers. */
export interface Incident {
  readonly letter: 'A' | 'B' | 'C' | 'D'
  readonly title: string
  /** What happened, for somebody who has not heard of it. */
  readonly story: string
  /** How Corral keeps it from happening. */
  readonly answer: string
  replay(scene: Scene): Promise<readonly Damage[]>
}
