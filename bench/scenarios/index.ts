import type { Scenario } from '../harness/scenario.js'
import { bulkExpiry } from './bulk-expiry.js'
import { celebrity } from './celebrity.js'
import { expiry } from './expiry.js'
import { fleetStampede } from './fleet-stampede.js'
import { l1 } from './l1.js'
import { l2 } from './l2.js'
import { layout } from './layout.js'
import { many } from './many.js'
import { memory } from './memory.js'
import { propagation } from './propagation.js'
import { staleSet } from './stale-set.js'
import { stampede } from './stampede.js'
import { write } from './write.js'

/** All scenarios, in the order of the list that `npm run bench` prints. */
export const SCENARIOS: readonly Scenario[] = [
  l1,
  l2,
  many,
  memory,
  stampede,
  fleetStampede,
  expiry,
  bulkExpiry,
  staleSet,
  celebrity,
  propagation,
  write,
  layout,
]
