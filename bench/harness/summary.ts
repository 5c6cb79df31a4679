/** What several rounds of one measurement came to. */
export interface Summary {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** @throws RangeError for no values: a measurement that never ran must not look like one. */
export function summarize(values: readonly number[]): Summary {
  return { median: quantile(values, 0.5), min: quantile(values, 0), max: quantile(values, 1) }
}

/**
 * The value below which a share of `at` lies, interpolated between neighbours.
 *
 * @param at from 0 (least) to 1 (greatest).
 * @throws RangeError for no values.
 */
export function quantile(values: ArrayLike<number>, at: number): number {
  if (values.length === 0) throw new RangeError('no values to summarize')
  const sorted = Float64Array.from(values).sort()
  const place = (sorted.length - 1) * at
  const below = sorted[Math.floor(place)] as number
  const above = sorted[Math.ceil(place)] as number
  return below + (above - below) * (place - Math.floor(place))
}

/** Four significant digits: more would only show noise. */
export function rounded(value: number): number {
  return Number(value.toPrecision(4))
}
