const FIELDS = new Set(['years', 'months', 'days', 'hours', 'minutes', 'seconds', 'milliseconds'])

/**
 * The class `pg` gives to values of type `interval` (package postgres-interval, which `pg` brings along and this
 * library therefore cannot import). Learned from a sample that the application's own driver has made, when a table with such a column is opened; else
 * from the first interval met.
 *
 * Until it is known, payloads with an interval decode to undefined, which is a miss like any other.
 */
export class IntervalClass {
  #prototype: object | undefined

  /** Takes the class from one of its instances. Anything else is ignored, for example the text another parser returns. */
  learn(sample: unknown): void {
    if (typeof sample === 'object' && sample !== null && isInterval(sample)) {
      this.#prototype ??= Object.getPrototypeOf(sample) as object
    }
  }

  /**
   * What has to be written of an interval. Undefined when `value` is none, or is one of another install of the class:
   * it would come back with the prototype of the first.
   */
  fieldsOf(value: object): object | undefined {
    this.learn(value)
    if (Object.getPrototypeOf(value) !== this.#prototype) return undefined
    return hasIntervalFields(value) ? { ...value } : undefined
  }

  /** An interval from its fields, not frozen yet. Undefined when they are not an interval's, or the class is not known yet. */
  fromFields(fields: object): object | undefined {
    if (this.#prototype === undefined || Array.isArray(fields) || !hasIntervalFields(fields)) return undefined
    return Object.assign(Object.create(this.#prototype), fields)
  }
}

/** Its name alone would fit any class of that name, `toPostgres` alone any class that `pg` can write. */
export function isInterval(value: object): boolean {
  const prototype: { constructor?: { name?: unknown }; toPostgres?: unknown } | null = Object.getPrototypeOf(value)
  return prototype?.constructor?.name === 'PostgresInterval' && typeof prototype.toPostgres === 'function'
}

function hasIntervalFields(value: object): boolean {
  if (Object.getOwnPropertySymbols(value).length > 0) return false
  return Object.entries(value).every(([field, amount]) => FIELDS.has(field) && isAmount(amount))
}

function isAmount(amount: unknown): boolean {
  return Number.isFinite(amount) && !Object.is(amount, -0)
}
