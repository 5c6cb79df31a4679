/** The lifetimes an entry can have, in milliseconds: what the width of its header's field allows. */
export const LIFETIMES_MS = { least: 1, most: 10 ** 10 - 1 } as const

export interface RowLifetime {
  readonly freshMs: number
  /** What was wrong with what the application's function gave; undefined: nothing. */
  readonly refused: 'no-number' | 'out-of-range' | 'threw' | undefined
}

/**
 * How long a row may count as fresh, by the application's own function of it. Never throws, whatever that function does: the row
 * was read, and its reader gets it.
 *
 * - a number outside of `LIFETIMES_MS` becomes the nearest inside: a time left that has run out is 1 ms, `Infinity` is the longest;
 * - anything else, or an error, becomes `otherwiseMs`.
 */
export function rowLifetime(row: object, freshMs: (row: object) => number, otherwiseMs: number): RowLifetime {
  let given: unknown
  try {
    given = freshMs(row)
  } catch {
    return { freshMs: otherwiseMs, refused: 'threw' }
  }
  // An async function's answer is no number, and its rejection would end the process.
  if (given instanceof Promise) given.catch(() => {})
  if (typeof given !== 'number' || Number.isNaN(given)) return { freshMs: otherwiseMs, refused: 'no-number' }
  const within = Math.min(LIFETIMES_MS.most, Math.max(LIFETIMES_MS.least, given))
  return { freshMs: within, refused: within === given ? undefined : 'out-of-range' }
}
