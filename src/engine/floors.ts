import type { CacheKey } from '../core/key.js'
import { compareVersions, successor, type Version } from '../core/version.js'
import type { Floor } from '../policy/verdict.js'

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
 * What this process has seen and written, per key, so that its reads of a key never go back in time and always include
 * its own writes, whatever the cache holds.
 *
 * Bounded: beyond `maxKeys` the key raised longest ago is forgotten, and with it the promise for that key.
 */
export class Floors {
  readonly #floors = new Map<CacheKey, Floor>()
  readonly #maxKeys: number

  constructor(maxKeys: number) {
    this.#maxKeys = maxKeys
  }

  get(key: CacheKey): Floor | undefined {
    return this.#floors.get(key)
  }

  /**
   * Raises the floor to a version that was shown, written or announced. A lower or equal one changes nothing.
   *
   * @param floor as it is, where the caller has just asked.
   */
  raise(key: CacheKey, version: Version, absent: boolean, floor = this.#floors.get(key)): void {
    if (floor !== undefined && !floor.isUnordered) {
      const order = compareVersions(version, floor.version)
      if (order < 0 || (order === 0 && floor.absent === absent)) return
    }
    this.#set(key, { version, absent })
  }

  /**
   * This process has seen for itself, at the database, that the row is gone. From here on an absence may be shown;
   * what was there before may not come back. Where this process knows no version of it, no cached row is shown any more until
   * the database or a message has told one: the cache may hold what was deleted, as long as its fence is on the way.
   */
  seeAbsence(key: CacheKey): void {
    const floor = this.#floors.get(key)
    if (floor === undefined) this.#set(key, UNORDERED)
    else if (!floor.absent) this.#floors.set(key, { version: successor(floor.version), absent: true })
  }

  /** Forgets a floor that the database itself contradicts. */
  clear(key: CacheKey): void {
    this.#floors.delete(key)
  }

  clearAll(): void {
    this.#floors.clear()
  }

  #set(key: CacheKey, floor: Floor): void {
    this.#floors.delete(key)
    this.#floors.set(key, floor)
    if (this.#floors.size > this.#maxKeys) this.#floors.delete(this.#floors.keys().next().value as CacheKey)
  }
}

const UNORDERED: Floor = { version: '0' as Version, absent: true, isUnordered: true }
