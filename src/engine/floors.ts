import type { CacheKey } from '../core/key.js'
import { compareVersions, successor, type Version } from '../core/version.js'
import { CLOCK_TOLERANCE_MS, type Floor, UNORDERED_ABSENCE } from '../policy/verdict.js'
import { keepLast } from './keep-last.js'

/** Whether a load shows less than a reader of this process may be shown. */
export function isBelowFloor(
  floor: Floor | undefined,
  loaded: { value: unknown; version: Version | undefined },
): boolean {
  if (floor === undefined) return false
  if (loaded.value === undefined) return !floor.absent
  return loaded.version !== undefined && compareVersions(loaded.version, floor.version) < 0
}

/**
 * The same of a load that began under the floor `before`: this process may have seen meanwhile that the row is gone, and nobody knows whether
 * that was before what was loaded. Without `before`: of what may have been like this at any time, such as a standby's row.
 */
export function mayBeBelowFloor(
  floor: Floor | undefined,
  before: Floor | undefined,
  loaded: { value: unknown; version: Version | undefined },
): boolean {
  if (floor !== before && floor?.isUnordered && loaded.value !== undefined) return true
  return isBelowFloor(floor, loaded)
}

/** Rows held in this process' memory that stand in for their floors. */
export interface HeldRows {
  /** Undefined when no row is held under this key. */
  versionOf(key: CacheKey): Version | undefined
  /** Holds it no longer, and whatever is said of it then is forgotten. */
  letGo(key: CacheKey): void
  /** A reader was shown `version` (null: no row): what is not as new may not answer another one. */
  dropOlder(key: CacheKey, version: Version | null): void
}

/** What is in front of a row's id in its key. */
function startOf(key: string): string {
  return key.slice(0, key.indexOf('/') + 1)
}

/**
 * What this process has seen and written, per key, so that its reads of a key never go back in time and always include
 * its own writes, whatever the cache holds.
 *
 * Bounded: beyond `maxKeys` the key raised or fenced longest ago is forgotten, and with it the promise for that key.
 */
export class Floors {
  readonly #floors = new Map<CacheKey, Floor>()
  /** Of keys that no version orders: when this process' last fence had arrived, by the store's clock. */
  readonly #fencedAtMs = new Map<CacheKey, number>()
  /** By what all keys of theirs start with. */
  readonly #rows = new Map<string, HeldRows[]>()
  readonly #maxKeys: number

  constructor(maxKeys: number) {
    this.#maxKeys = maxKeys
  }

  get(key: CacheKey): Floor | undefined {
    return this.#floors.get(key) ?? this.#takeBack(key)
  }

  /** How many are kept here. */
  get size(): number {
    return this.#floors.size
  }

  /**
   * From now on rows in memory stand in for their floors: what a row costs there must not be paid twice.
   *
   * While a row is held (`isHeld` has been called), its version is its floor, and nothing is kept here. Whoever holds it says
   * so before it lets go of it (`isLetGo`). Asked for meanwhile, the floor is back, and stays until the row is held anew.
   *
   * Gives back all who hold rows under such keys, also those who come later: a table may have several repositories, with a memory each.
   */
  standIn(prefix: string, rows: HeldRows): readonly HeldRows[] {
    const start = startOf(prefix)
    const all = this.#rows.get(start) ?? []
    this.#rows.set(start, all)
    all.push(rows)
    return all
  }

  /** A reader was shown `version` (null: no row), wherever that came from: no memory may answer another one with less. */
  dropOlder(key: CacheKey, version: Version | null): void {
    for (const rows of this.#rows.get(startOf(key)) ?? []) rows.dropOlder(key, version)
  }

  /** A row of this version is held from now on. */
  isHeld(key: CacheKey, version: Version): void {
    const floor = this.#floors.get(key)
    if (floor === undefined) return
    if (floor.isUnordered || compareVersions(floor.version, version) <= 0) this.#floors.delete(key)
  }

  /** A row of this version is held no longer. That is no news: where this process has seen since that the row is gone, it stays so. */
  isLetGo(key: CacheKey, version: Version): void {
    const floor = this.#floors.get(key)
    if (!floor?.isUnordered) this.raise(key, version, false)
    else if (compareVersions(version, floor.version) >= 0) {
      this.#floors.set(key, { version: successor(version), absent: true, isUnordered: true })
    }
  }

  /**
   * Raises the floor to a version that this process was told of. Word comes late: what it tells of may have been there before this process
   * saw for itself that the row is gone. So it orders no absence.
   */
  hear(key: CacheKey, version: Version, absent: boolean): void {
    const floor = this.#floors.get(key)
    if (!floor?.isUnordered) this.raise(key, version, absent, floor)
    else if (compareVersions(version, floor.version) >= 0) this.#set(key, { version, absent, isUnordered: true })
  }

  /**
   * Raises the floor to a version that was loaded or shown. A lower or equal one changes nothing.
   *
   * @param floor as it is, where the caller has just asked.
   */
  raise(key: CacheKey, version: Version, absent: boolean, floor = this.#floors.get(key)): void {
    if (floor !== undefined) {
      const order = compareVersions(version, floor.version)
      if (order < 0 || (order === 0 && floor.absent === absent && !floor.isUnordered)) return
    }
    this.#set(key, { version, absent })
  }

  /**
   * This process has seen for itself, at the database, that the row is gone. From here on an absence may be shown;
   * what was there before may not come back. Nobody has said how new that was: rows newer than any that this process has heard of may
   * have come and gone. So no cached row is shown any more until the database has shown one: the cache may hold what was deleted, as
   * long as its fence is on the way, and so may messages tell of it.
   */
  seeAbsence(key: CacheKey): void {
    const floor = this.#floors.get(key)
    if (floor === undefined) this.#set(key, UNORDERED_ABSENCE)
    else if (!floor.isUnordered || !floor.absent) {
      const version = floor.absent ? floor.version : successor(floor.version)
      this.#floors.set(key, { version, absent: true, isUnordered: true })
    }
  }

  /** Forgets a floor that the database itself contradicts. */
  clear(key: CacheKey): void {
    if (this.#rows.size > 0) for (const rows of this.#rows.get(startOf(key)) ?? []) rows.letGo(key)
    this.#floors.delete(key)
  }

  clearAll(): void {
    this.#floors.clear()
    this.#fencedAtMs.clear()
  }

  /**
   * Fences have arrived. Of keys that no version orders (lookups, marks, rows without a stamp) the moment is kept: the store holds nothing
   * from before it, unless it forgets. A promoted replica that lacks the fence shows again what was there.
   *
   * @param nowMs by the store's clock.
   */
  haveFenced(fences: readonly { readonly key: CacheKey; readonly version: Version | null }[], nowMs: number): void {
    for (const { key, version } of fences) {
      if (version !== null) continue
      // Entries tell whole milliseconds.
      keepLast(this.#fencedAtMs, key, Math.floor(nowMs), this.#maxKeys)
    }
  }

  /** Whether what was stored at `filledAtMs` had been there before this process' own fence of `key`. Both times by the store's clock. */
  wasFencedSince(key: CacheKey, filledAtMs: number, nowMs: number): boolean {
    const fencedAtMs = this.#fencedAtMs.get(key)
    if (fencedAtMs === undefined || filledAtMs >= fencedAtMs) return false
    // The store's clock was set back: no time of before says anything any more.
    if (fencedAtMs > nowMs + CLOCK_TOLERANCE_MS) return !this.#fencedAtMs.delete(key)
    return true
  }

  #takeBack(key: CacheKey): Floor | undefined {
    if (this.#rows.size === 0) return undefined
    let highest: Version | undefined
    for (const rows of this.#rows.get(startOf(key)) ?? []) {
      const version = rows.versionOf(key)
      if (version !== undefined && (highest === undefined || compareVersions(version, highest) > 0)) highest = version
    }
    if (highest === undefined) return undefined
    const floor = { version: highest, absent: false }
    this.#set(key, floor)
    return floor
  }

  #set(key: CacheKey, floor: Floor): void {
    keepLast(this.#floors, key, floor, this.#maxKeys)
  }
}
