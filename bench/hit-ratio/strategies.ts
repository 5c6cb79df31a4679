import { DEFAULTS } from '../../src/config.js'

/** How rows are cached. What each has is Corral's own policy with Corral's own default, turned on. */
export interface Strategy {
  readonly name: string
  readonly cached: boolean
  /** Share of the TTL taken off at random. */
  readonly jitter: number
  /** XFetch's beta; 0: no early refresh. */
  readonly beta: number
  /** One fill at a time for the whole fleet, revoked by a write. Without it everybody who misses loads and stores. */
  readonly leased: boolean
  /** Entries in each process' memory; 0: none. */
  readonly l1Entries: number
  readonly onWrite: 'drop' | 'publish'
}

const FIXED: Strategy = {
  name: 'fixed TTL',
  cached: true,
  jitter: 0,
  beta: 0,
  leased: false,
  l1Entries: 0,
  onWrite: 'drop',
}
const JITTERED: Strategy = { ...FIXED, name: '+ jitter', jitter: DEFAULTS.ttl.jitter }
const EARLY: Strategy = { ...JITTERED, name: '+ XFetch', beta: DEFAULTS.refresh.beta }
const LEASED: Strategy = { ...EARLY, name: '+ lease', leased: true }
const NEAR: Strategy = { ...LEASED, name: '+ L1', l1Entries: DEFAULTS.l1.maxEntries }

/** Each is the one before it and one thing more. The fifth but one is Corral without L1, then Corral, then Corral that publishes. */
export const STRATEGIES = {
  none: { ...FIXED, name: 'no cache', cached: false },
  fixed: FIXED,
  jitter: JITTERED,
  xfetch: EARLY,
  lease: LEASED,
  l1: NEAR,
  publish: { ...NEAR, name: '+ publish on write', onWrite: 'publish' },
} as const satisfies Record<string, Strategy>
