/** Ends the ring of places in use, on both sides; so the places begin at 1. */
const END = 0
const FIRST_CAPACITY = 16
/** By which part of itself it grows: so much of it at most is room that nobody uses, and each place is copied some five times until then. */
const GROWTH = 1 / 4

type Links = Uint16Array | Uint32Array

/**
 * Numbered places from 1, in the order of their last use: what lies in a place is kept by whoever took it, in arrays of its own.
 *
 * Two links a place, of two bytes each where so many places can be told apart by them.
 */
export class UseOrder {
  readonly #most: number
  /** Towards those used later. Links the free places, too. */
  #later: Links
  #earlier: Links
  #free = END
  #reached = 0

  constructor(most: number) {
    this.#most = most
    const capacity = Math.min(most, FIRST_CAPACITY) + 1
    this.#later = most < 2 ** 16 ? new Uint16Array(capacity) : new Uint32Array(capacity)
    this.#earlier = this.#later.slice()
  }

  /** How long an array has to be that has something in each place. */
  get capacity(): number {
    return this.#later.length
  }

  /** The place used longest ago; undefined when none is in use. */
  get oldest(): number | undefined {
    const place = this.#later[END] as number
    return place === END ? undefined : place
  }

  /** A place that was free, now the last one used. `capacity` may have grown. @throws RangeError when all are in use. */
  take(): number {
    let place = this.#free
    if (place !== END) this.#free = this.#later[place] as number
    else {
      if (this.#reached === this.#most) throw new RangeError(`all ${this.#most} places are in use`)
      place = ++this.#reached
      if (place === this.#later.length) this.#grow()
    }
    this.#append(place)
    return place
  }

  /** A place in use is the last one used. */
  touch(place: number): void {
    if (this.#earlier[END] === place) return
    this.#cut(place)
    this.#append(place)
  }

  /** A place in use is free again. */
  free(place: number): void {
    this.#cut(place)
    this.#later[place] = this.#free
    this.#free = place
  }

  #append(place: number): void {
    const last = this.#earlier[END] as number
    this.#later[last] = place
    this.#earlier[place] = last
    this.#later[place] = END
    this.#earlier[END] = place
  }

  #cut(place: number): void {
    const [before, after] = [this.#earlier[place] as number, this.#later[place] as number]
    this.#later[before] = after
    this.#earlier[after] = before
  }

  #grow(): void {
    const more = Math.max(FIRST_CAPACITY, Math.floor(this.#reached * GROWTH))
    const capacity = Math.min(this.#most, this.#reached + more) + 1
    this.#later = lengthened(this.#later, capacity)
    this.#earlier = lengthened(this.#earlier, capacity)
  }
}

/** The same numbers in an array of this length. */
export function lengthened<Numbers extends Links>(numbers: Numbers, length: number): Numbers {
  const longer = new (numbers.constructor as new (length: number) => Numbers)(length)
  longer.set(numbers)
  return longer
}
