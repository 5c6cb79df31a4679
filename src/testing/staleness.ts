/** How stale reads were: how long before a read began what it shows had been overtaken by a write that was known to be committed. */
export interface StalenessFigures {
  /** Reads in each stretch: more than the stretch before, up to `uptoMs`. The first is of those that were current. */
  readonly histogram: readonly { readonly uptoMs: number; readonly reads: number }[]
  /** Of all reads. */
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  readonly maxMs: number
}

const BOUNDS_MS = [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, Number.POSITIVE_INFINITY]

export class Staleness {
  readonly #stale: number[] = []
  #current = 0

  note(staleMs: number): void {
    if (staleMs > 0) this.#stale.push(staleMs)
    else this.#current++
  }

  figures(): StalenessFigures {
    const sorted = Float64Array.from(this.#stale).sort()
    const reads = this.#current + sorted.length
    const percentile = (share: number) => sorted[Math.ceil(share * reads) - 1 - this.#current] ?? 0
    let before = -this.#current
    const histogram = BOUNDS_MS.map((uptoMs) => {
      const upto = countUpto(sorted, uptoMs)
      const found = { uptoMs, reads: upto - before }
      before = upto
      return found
    })
    return {
      histogram,
      p50Ms: percentile(0.5),
      p99Ms: percentile(0.99),
      p999Ms: percentile(0.999),
      maxMs: sorted.at(-1) ?? 0,
    }
  }
}

function countUpto(sorted: Float64Array, bound: number): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((sorted[middle] as number) > bound) high = middle
    else low = middle + 1
  }
  return low
}
