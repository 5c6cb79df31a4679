/** Why a value is served but not stored: it could not be told apart from another value after the round trip. */
export interface Uncacheable {
  /** `shape`: the row has other columns than the codec was made for. `value`: one value has no form on the wire. */
  readonly reason: 'shape' | 'value'
  /** The property it was found at. */
  readonly uncacheable: string
  /** What was found, by its type; never the value itself. */
  readonly found: string
}

/** A value inside a column that has no form on the wire. Travels up to the column, which knows its property. */
export class Refusal {
  readonly found: string

  constructor(found: string) {
    this.found = found
  }
}
