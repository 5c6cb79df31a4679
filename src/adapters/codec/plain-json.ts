/** How many arrays and objects may lie inside each other in one column. Deeper values are neither written nor read. */
export const MAX_DEPTH = 200

/**
 * True when `JSON.parse(JSON.stringify(value))` is the same value again, down to prototypes and the order of keys.
 * False for cycles, which JSON cannot write, and for anything deeper than `MAX_DEPTH`.
 */
export function isPlainJson(value: unknown, depth = 0): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true
    case 'number':
      return isPlainNumber(value)
    case 'object':
      return value === null || isPlainContainer(value, depth)
    default:
      return false
  }
}

/** JSON has neither NaN nor infinities, and `JSON.stringify` writes -0 as 0. */
export function isPlainNumber(value: number): boolean {
  return Number.isFinite(value) && !Object.is(value, -0)
}

function isPlainContainer(container: object, depth: number): boolean {
  // Ends cycles as well: the first way down that comes to the limit decides.
  if (depth >= MAX_DEPTH) return false
  const inside = Array.isArray(container) ? listItems(container) : objectValues(container)
  if (inside === undefined) return false
  for (let i = 0; i < inside.length; i++) {
    if (!isPlainJson(inside[i], depth + 1)) return false
  }
  return true
}

/** Holes read as undefined, which is not plain, so only further properties have to be ruled out here. */
function listItems(list: unknown[]): unknown[] | undefined {
  return Object.getPrototypeOf(list) === Array.prototype && hasOnlyItems(list) ? list : undefined
}

/** True when a list has no properties but its items and its length. */
export function hasOnlyItems(list: readonly unknown[]): boolean {
  return Reflect.ownKeys(list).length <= list.length + 1
}

function objectValues(value: object): unknown[] | undefined {
  if (Object.getPrototypeOf(value) !== Object.prototype) return undefined
  return Object.getOwnPropertySymbols(value).length === 0 ? Object.values(value) : undefined
}

/** Freezes what `JSON.parse` returned, all the way down. False when the encoder cannot have written it: too deep, or not finite. */
export function freezePlainJson(value: unknown, depth = 0): boolean {
  if (typeof value === 'number') return Number.isFinite(value)
  if (typeof value !== 'object' || value === null) return true
  if (depth >= MAX_DEPTH) return false
  const inside: readonly unknown[] = Array.isArray(value) ? value : Object.values(value)
  for (let i = 0; i < inside.length; i++) {
    if (!freezePlainJson(inside[i], depth + 1)) return false
  }
  Object.freeze(value)
  return true
}
