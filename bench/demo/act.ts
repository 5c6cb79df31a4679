import type { PostgresServer } from '../../test/support/servers/postgres.js'
import type { RedisServer } from '../../test/support/servers/redis.js'
import type { Narrator } from './narrator.js'

/** What every act may use. An act cleans up after itself; the servers are the stage's. */
export interface Stage {
  readonly postgres: PostgresServer
  readonly redis: RedisServer
  readonly narrator: Narrator
}

/** One part of the demonstration, complete in itself. */
export interface Act {
  readonly title: string
  /** Resolves with what Corral failed to keep, in words; nothing when it kept its promises. */
  perform(stage: Stage): Promise<readonly string[]>
}
