/** A seeded source of numbers in [0, 1): mulberry32, by Tommy Ettinger, in the public domain. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/**
 * `draws` ids from 1 to `ids`, where the k-th most popular one is drawn in proportion to 1 / k^skew. Which ids are popular is
 * shuffled, so that popularity says nothing about neighbourhood.
 *
 * @param skew 0.99 is what the YCSB benchmark uses.
 */
export function zipfIds(ids: number, draws: number, skew = 0.99, seed = 42): Uint32Array {
  const random = seeded(seed)
  const cumulated = new Float64Array(ids)
  let sum = 0
  for (let rank = 0; rank < ids; rank++) {
    sum += 1 / (rank + 1) ** skew
    cumulated[rank] = sum
  }
  const names = shuffledIds(ids, random)
  return Uint32Array.from({ length: draws }, () => names[firstAtLeast(cumulated, random() * sum)] as number)
}

function shuffledIds(ids: number, random: () => number): Uint32Array {
  const names = Uint32Array.from({ length: ids }, (_, index) => index + 1)
  for (let last = ids - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1))
    const name = names[last] as number
    names[last] = names[other] as number
    names[other] = name
  }
  return names
}

function firstAtLeast(sorted: Float64Array, value: number): number {
  let low = 0
  let high = sorted.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    if ((sorted[middle] as number) < value) low = middle + 1
    else high = middle
  }
  return low
}
