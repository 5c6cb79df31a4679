/** A stream of requests in the order of time. The same stream can be simulated and played against real servers. */
export interface Requests {
  readonly name: string
  /** From the start of the stream; never falls. */
  readonly atMs: Float64Array
  /** Numbers from 0 to `keyCount` - 1. */
  readonly keys: Uint32Array
  /** 1 where the request writes the row, 0 where it reads it. */
  readonly writes: Uint8Array
  readonly keyCount: number
}

/** The first `count` requests. */
export function firstOf(requests: Requests, count: number): Requests {
  const { atMs, keys, writes } = requests
  return {
    ...requests,
    atMs: atMs.subarray(0, count),
    keys: keys.subarray(0, count),
    writes: writes.subarray(0, count),
  }
}

/** Requests for the same keys in the same order, one by one at an even rate. What a trace of bare keys becomes. */
export function atRate(name: string, keys: Uint32Array, perSecond: number): Requests {
  let keyCount = 0
  for (const key of keys) keyCount = Math.max(keyCount, key + 1)
  const atMs = Float64Array.from(keys, (_, at) => (at * 1_000) / perSecond)
  return { name, atMs, keys, writes: new Uint8Array(keys.length), keyCount }
}
