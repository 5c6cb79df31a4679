import type { Chance } from '../core/clock.js'

/** The longest head start, in units of beta × loadMs: what a draw of one in 1.2 million gives. */
const LONGEST_DRAW = 14
const MAX_EARLINESS = 0.25

export interface EarlyRules {
  /** 1 is the paper's default. Larger refreshes sooner and collides less without a lease; 0 never refreshes early. */
  readonly beta: number
  /** The share of `freshMs` before expiry in which a refresh may start. Default 0.25. */
  readonly maxEarliness?: number
  /**
   * The longest head start in load times. Default 14 × beta: all that the draw gives. Under a refresh lease there is no herd to spread,
   * so a start earlier than the load needs only costs loads; `DEFAULTS` has 1.5.
   */
  readonly maxLoads?: number
}

/** The two durations an entry carries that decide how early its refresh may start. */
export interface RefreshCost {
  /** What a load is expected to cost, from the decision to the visible value. */
  readonly loadMs: number
  /** How long the entry counts as fresh from its fill on. */
  readonly freshMs: number
}

/**
 * Decides whether this one reader should have an entry refreshed before it expires.
 *
 * Every reader draws for itself, so nothing has to be coordinated: with `s` left, the answer is yes with probability
 * exp(-s / (beta × loadMs)). Readers of a hot key start a refresh a few load times before expiry; for a cold key nobody
 * does, which is right, because nobody would queue. Without a lease a load of D is then run exp(D / (beta × loadMs)) times
 * an expiry, however many readers there are; one load needs a lease (docs/design/early-refresh.md).
 *
 * Asked on each cache hit: it allocates nothing, and draws only within `longestHeadStartMs` of expiry.
 *
 * @see Vattani, Chierichetti and Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", PVLDB 8(8), 2015
 * @param remainingMs what is left of `freshMs`. At or below 0 the answer is yes, unless beta is 0.
 */
export function shouldRefreshEarly(remainingMs: number, cost: RefreshCost, rules: EarlyRules, chance: Chance): boolean {
  const longestMs = longestHeadStartMs(cost, rules)
  if (remainingMs > longestMs || longestMs <= 0) return false
  // number() is in [0, 1), so the logarithm's argument is in (0, 1] and never 0.
  return remainingMs <= -Math.log(1 - chance.number()) * rules.beta * cost.loadMs
}

/** How long before expiry a refresh can start at all: `maxLoads` × loadMs, and never more than `maxEarliness` of `freshMs`. */
export function longestHeadStartMs(cost: RefreshCost, rules: EarlyRules): number {
  const longestDraw = LONGEST_DRAW * rules.beta
  const loads = Math.min(rules.maxLoads ?? longestDraw, longestDraw)
  return Math.min(loads * cost.loadMs, (rules.maxEarliness ?? MAX_EARLINESS) * cost.freshMs)
}
