import type { Chance } from '../core/clock.js'
import type { Entry } from '../core/entry.js'
import { compareVersions, type Version } from '../core/version.js'
import { type EarlyRules, shouldRefreshEarly } from './xfetch.js'

/**
 * What a reader does with an entry: `fresh`: serve it. `early`: serve it and have it refreshed. `stale`: load, and serve it
 * only if that fails or is slow. All others: load as if there were nothing.
 */
export type Verdict = 'fresh' | 'early' | 'stale' | 'expired' | 'other-shape' | 'other-epoch' | 'below-floor'

/** The lowest version a process may still show for a row. */
export interface Floor {
  readonly version: Version
  /** True when this process knows that the row was gone after `version`, so that an absence may be shown too. */
  readonly absent: boolean
  /** This process has seen that the row is gone, and nobody has said since which version that was: no cached row can be shown to be newer. */
  readonly isUnordered?: boolean
}

/** An absence that no version orders: a row that the caches hold may be from before it. */
export const UNORDERED_ABSENCE: Floor = { version: '0' as Version, absent: true, isUnordered: true }

/** The fields of an entry that decide; the payload never does. */
export type Judged = Pick<Entry, 'kind' | 'version' | 'shape' | 'epoch' | 'filledAtMs' | 'freshMs' | 'loadMs'>

/** What a repository asks of its entries. One object for all reads, made anew when shape or epoch change. */
export interface Demands {
  readonly shape: string
  readonly epoch: string
  /** How long after its fresh time an entry may stand in for a load that fails or is slow. */
  readonly graceMs: number
  readonly early: EarlyRules
}

/** How far the store's clock and this process' estimate of it may disagree: more than any round trip it is learned from. */
export const CLOCK_TOLERANCE_MS = 1_000

/**
 * Judges an entry, on each cache hit. Nothing is allocated, by the caller either: hence arguments and not one object.
 *
 * Identity first, then the floor, then age: an entry of another shape or epoch or below the floor is not served in grace
 * either. Where the estimate of the store's clock runs ahead by e, entries expire e too soon; where it lags, e too late;
 * neither shows. What shows is an entry from the future:
 * - by up to 1 s it counts as filled now, the least age it can have;
 * - by more, its age is not known and it counts as expired, grace included. Either the store's clock was set back, and the
 *   entry may be of any age; or this process' estimate is far off, and the lease request that this verdict leads to
 *   brings the store's time with it. Calling it fresh would serve it until the clock has caught up.
 *
 * @param nowMs the store's clock, as well as this process knows it.
 * @param floor of the row this entry is about, if this process has one.
 */
export function judge(
  entry: Judged,
  nowMs: number,
  floor: Floor | undefined,
  demands: Demands,
  chance: Chance,
): Verdict {
  if (entry.shape !== demands.shape) return 'other-shape'
  if (entry.epoch !== demands.epoch) return 'other-epoch'
  if (floor !== undefined && isBelow(entry, floor)) return 'below-floor'

  const ageMs = nowMs - entry.filledAtMs
  if (ageMs < -CLOCK_TOLERANCE_MS) return 'expired'
  const remainingMs = entry.freshMs - Math.max(0, ageMs)
  if (remainingMs <= 0) return -remainingMs < demands.graceMs ? 'stale' : 'expired'
  return shouldRefreshEarly(remainingMs, entry, demands.early, chance) ? 'early' : 'fresh'
}

/** True when the entry cannot be shown to be as new as the floor. */
function isBelow(entry: Judged, floor: Floor): boolean {
  switch (entry.kind) {
    case 'row':
      if (floor.isUnordered || entry.version === undefined) return true
      return compareVersions(entry.version, floor.version) < 0
    case 'absent':
      // An absence has no version, so it cannot prove that it is newer than a row this process has seen.
      return !floor.absent
    case 'lookup':
    case 'query':
      // A lookup's version is that of the row it was read from: it says nothing about where the column points now.
      return false
  }
}
