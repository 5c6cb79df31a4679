import type { Rules } from './rules.js'
import { ANY_XID, type Entry, NONE, type Place } from './state.js'

/**
 * The scripts of adapters/redis/scripts.ts, and so `MemoryStore`, on one key. `test/model/store.test.ts` holds the three against each
 * other.
 */

/** What the store goes by: an absence has no version, and neither has anything of a table without stamps. */
export interface Stamp {
  readonly version: number | null
}

export interface StoredFill extends Stamp {
  readonly token: number
  readonly entry: Entry
  /** Null: the load was made on the primary. Otherwise the last transaction the standby had replayed. */
  readonly standbyAt: number | null
  /** Of a load from a standby: a fence may have been forgotten that it did not see. */
  readonly isTooLate: boolean
  readonly replacesNewer: boolean
}

export interface StoredFence extends Stamp {
  /** `NONE`: unknown. */
  readonly xid: number
  readonly rememberAlways: boolean
  readonly replacement: Entry | undefined
}

/** @param isOver the time of the lease that is held, if one is, has run out. */
export function lease(
  place: Place,
  token: number,
  seen: Entry | undefined,
  isOver: boolean,
): 'leased' | 'held' | 'changed' {
  if (!isSame(place.entry, seen)) return 'changed'
  if (place.lease !== 0 && !isOver) return 'held'
  place.lease = token
  return 'leased'
}

export function fill(
  place: Place,
  { token, version, entry, standbyAt, isTooLate, replacesNewer }: StoredFill,
  versionOf: (entry: Entry) => number | null,
  rules: Rules,
): 'filled' | 'lease-lost' | 'fenced' | 'older' {
  if (rules.fillNeedsItsLease && place.lease !== token) return 'lease-lost'
  // What a standby gave may be refused and the primary asked under the same lease.
  if (standbyAt === null) release(place, token)
  if (isTooLate || isFenced(place, version, standbyAt, rules)) return 'fenced'
  const stored = place.entry && versionOf(place.entry)
  const isOlder = version !== null && typeof stored === 'number' && stored > version
  if (rules.fillMustNotBeOlder && !replacesNewer && isOlder) return 'older'
  release(place, token)
  place.entry = entry
  return 'filled'
}

export function fence(
  place: Place,
  { version, xid, rememberAlways, replacement }: StoredFence,
  versionOf: (entry: Entry) => number | null,
  rules: Rules,
): 'absent' | 'kept' | 'replaced' | 'dropped' {
  if (place.entry === undefined && !rememberAlways && !hasGuard(place)) {
    if (replacement === undefined || rules.replacesOnlyOlder) return 'absent'
  }
  if (version !== null) place.fence = Math.max(place.fence, version)
  place.fencedXid = Math.max(place.fencedXid, xid)
  if (version === null && rememberAlways) place.unordered = Math.max(place.unordered, xid === NONE ? ANY_XID : xid)
  const stored = place.entry === undefined || place.entry.absent ? null : versionOf(place.entry)
  if (version !== null && stored !== null && stored >= version) return 'kept'
  if (rules.fenceRevokesLease) place.lease = 0
  if (replacement !== undefined && (stored !== null || !rules.replacesOnlyOlder)) {
    place.entry = replacement
    return 'replaced'
  }
  place.entry = undefined
  return 'dropped'
}

export function release(place: Place, token: number): void {
  if (place.lease === token) place.lease = 0
}

export function emptyPlace(): Place {
  return { entry: undefined, fence: NONE, fencedXid: NONE, unordered: NONE, lease: 0 }
}

export function hasGuard(place: Place): boolean {
  return place.fence !== NONE || place.fencedXid !== NONE || place.unordered !== NONE || place.lease !== 0
}

export function forgetFence(place: Place): void {
  place.fence = NONE
  place.fencedXid = NONE
  place.unordered = NONE
}

function isFenced(place: Place, version: number | null, standbyAt: number | null, rules: Rules): boolean {
  if (rules.fillMustSatisfyFence && version !== null && version < place.fence) return true
  if (standbyAt === null || !rules.standbyMustSeeXids) return false
  if (place.unordered > standbyAt) return true
  if (version !== null) return false
  // A fence of which no transaction is known cannot be shown to have been seen.
  return place.fencedXid > standbyAt || (place.fence !== NONE && place.fencedXid === NONE)
}

/** Two fills of one version are told apart by their time; here it is enough that a store that holds another version has changed. */
function isSame(a: Entry | undefined, b: Entry | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  return a.of === b.of && a.epoch === b.epoch && a.absent === b.absent
}
