import type { Scenario } from '../harness/scenario.js'
import { l1 } from './l1.js'
import { layout } from './layout.js'

/** All scenarios, in the order of the list that `npm run bench` prints. */
export const SCENARIOS: readonly Scenario[] = [layout, l1]
