import type { Ablation } from './ablation.js'
import { COPIES } from './ablations/copies.js'
import { MEMORY } from './ablations/memory.js'
import { READS } from './ablations/reads.js'
import { RELAYS } from './ablations/relays.js'
import { STANDBYS } from './ablations/standbys.js'
import { WRITES } from './ablations/writes.js'

/**
 * What the simulator has to notice. Names that the model has too (test/model/rules.ts) mean the same mechanism. Each edit replaces text that is
 * there exactly once; where it is not any more, the code has changed and the edit must follow.
 */
export const ABLATIONS = {
  ...WRITES,
  ...STANDBYS,
  ...READS,
  ...MEMORY,
  ...COPIES,
  ...RELAYS,
} satisfies Record<string, Ablation>

export type AblationName = keyof typeof ABLATIONS
