import type { Chance } from '../../src/core/clock.js'
import { seededChance } from '../simulator/seeded-chance.js'
import type { Requests } from './requests.js'

export interface ModelSize {
  readonly requests: number
  readonly keys: number
  /** On average; arrivals are random (Poisson). */
  readonly perSecond: number
  readonly seed: number
}

/** Draws the key of the request that is made at `share` (0 to 1) of the stream. */
type DrawKey = (share: number, at: number) => number

interface Shape {
  readonly drawKey: (size: ModelSize, chance: Chance) => DrawKey
  readonly writeShare: number
  /** The rate at `share` of the stream, of the average. Default: 1 throughout. */
  readonly rate?: (share: number) => number
}

const FEW_WRITES = 0.01

/** How users ask for rows, each in the shape that a cache finds easy or hard. */
const SHAPES = {
  'zipf 0.7': zipfShape(0.7, FEW_WRITES),
  'zipf 0.99': zipfShape(0.99, FEW_WRITES),
  'zipf 1.2': zipfShape(1.2, FEW_WRITES),
  /** Every row once, in order, as a report or a crawler reads them: nothing comes again within its time. */
  scan: {
    drawKey:
      ({ keys }) =>
      (_, at) =>
        at % keys,
    writeShare: 0,
  },
  /** A tenth of the rows over and over, in order: what an LRU that is a little too small has just dropped is asked for next. */
  loop: {
    drawKey:
      ({ keys }) =>
      (_, at) =>
        at % Math.ceil(keys / 10),
    writeShare: 0,
  },
  /** Zipf, where what is popular moves on: every twentieth of the stream the ranks shift by a hundredth of the keys. */
  'drifting hot set': {
    drawKey: ({ keys }, chance) => {
      const draw = zipf(keys, 0.99, chance)
      return (share) => (draw() + Math.floor(share * 20) * Math.ceil(keys / 100)) % keys
    },
    writeShare: FEW_WRITES,
  },
  /** Zipf, and in the middle fifth half of all requests, at three times the rate, are for one row that nobody asked for before. */
  'flash crowd': {
    drawKey: ({ keys }, chance) => {
      const draw = zipf(keys, 0.99, chance)
      return (share) => (share > 0.4 && share < 0.6 && chance.number() < 0.5 ? keys - 1 : draw())
    },
    writeShare: FEW_WRITES,
    rate: (share) => (share > 0.4 && share < 0.6 ? 3 : 0.75),
  },
  /** Zipf over two days: at night a tenth of the rate at noon. */
  diurnal: {
    drawKey: ({ keys }, chance) => zipf(keys, 0.99, chance),
    writeShare: FEW_WRITES,
    rate: (share) => 1 - 0.82 * Math.cos(2 * Math.PI * 2 * share),
  },
  'write-heavy': zipfShape(0.99, 0.25),
} as const satisfies Record<string, Shape>

export type ModelName = keyof typeof SHAPES

export const MODELS = Object.keys(SHAPES) as readonly ModelName[]

/** The same size and seed give the same stream. */
export function modelRequests(name: ModelName, size: ModelSize): Requests {
  const shape: Shape = SHAPES[name]
  const chance = seededChance(size.seed)
  const drawKey = shape.drawKey(size, chance)
  const atMs = new Float64Array(size.requests)
  const keys = new Uint32Array(size.requests)
  const writes = new Uint8Array(size.requests)
  let nowMs = 0
  for (let at = 0; at < size.requests; at++) {
    const share = at / size.requests
    nowMs += (-Math.log(1 - chance.number()) * 1_000) / (size.perSecond * (shape.rate?.(share) ?? 1))
    atMs[at] = nowMs
    keys[at] = drawKey(share, at)
    writes[at] = chance.number() < shape.writeShare ? 1 : 0
  }
  return { name, atMs, keys, writes, keyCount: size.keys }
}

function zipfShape(skew: number, writeShare: number): Shape {
  return { drawKey: ({ keys }, chance) => zipf(keys, skew, chance), writeShare }
}

/** The k-th key is drawn in proportion to 1 / (k + 1)^skew. By search in the cumulated weights. */
function zipf(keys: number, skew: number, chance: Chance): () => number {
  const cumulated = new Float64Array(keys)
  let sum = 0
  for (let rank = 0; rank < keys; rank++) {
    sum += 1 / (rank + 1) ** skew
    cumulated[rank] = sum
  }
  return () => {
    const value = chance.number() * sum
    let low = 0
    let high = keys - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if ((cumulated[middle] as number) < value) low = middle + 1
      else high = middle
    }
    return low
  }
}
