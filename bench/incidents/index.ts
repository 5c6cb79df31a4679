import { balances } from './balances.js'
import { herd } from './herd.js'
import type { Incident } from './incident.js'
import { splitBrain } from './split-brain.js'
import { twoHolders } from './two-holders.js'

/** In the order in which they are told. */
export const INCIDENTS: readonly Incident[] = [splitBrain, balances, herd, twoHolders]
