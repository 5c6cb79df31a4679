import { clusterNemeses } from './nemeses/cluster.js'
import { networkNemeses } from './nemeses/network.js'
import { outsideSqlNemeses } from './nemeses/outside-sql.js'
import { postgresNemeses } from './nemeses/postgres.js'
import { processNemeses } from './nemeses/processes.js'
import { promotionNemeses } from './nemeses/promotion.js'
import { redisNemeses } from './nemeses/redis.js'
import type { Stage } from './stage.js'

/** One way to break things. */
export interface Nemesis {
  readonly name: string
  /** What is done, in one line. */
  readonly does: string
  /** One of each lane is at work at a time. */
  readonly lane: 'servers' | 'processes'
  /** Default: both. */
  readonly where?: 'pair' | 'cluster'
  /** Nothing else is broken meanwhile: how long its window is would be that of the other fault. */
  readonly isAlone?: boolean
  /** The database itself suffers, so reads and writes may fail. */
  readonly harmsDatabase?: boolean
  /** Breaks something and resolves when it is whole again. */
  strike(stage: Stage): Promise<void>
}

export const NEMESES: readonly Nemesis[] = [
  ...networkNemeses,
  ...redisNemeses,
  ...promotionNemeses,
  ...clusterNemeses,
  ...postgresNemeses,
  ...processNemeses,
  ...outsideSqlNemeses,
]
