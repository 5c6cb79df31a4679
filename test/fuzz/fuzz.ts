import fc from 'fast-check'
import type { Target } from './targets.js'

/** What a run came to. It has found nothing: one that finds something throws. */
export interface FuzzFigures {
  readonly inputs: number
  readonly elapsedMs: number
  /** Of a single input. */
  readonly slowestMs: number
  /** By how much the most memory this process ever held has grown. */
  readonly risenMib: number
  /** How often each outcome was met. */
  readonly outcomes: Readonly<Record<string, number>>
}

/** Longer than any input of this size may take, on a machine that is busy with other things. */
const HANG_MS = 2_000

const SHARED = [
  Object.prototype,
  Array.prototype,
  Function.prototype,
  String.prototype,
  Map.prototype,
  Buffer.prototype,
]

/**
 * Gives a target that many hostile inputs.
 *
 * @throws for the first one that throws, takes too long, or reaches a prototype: with the seed that brings it back.
 */
export function fuzz(target: Target, inputs: number, seed: number): FuzzFigures {
  const outcomes: Record<string, number> = {}
  const before = fingerprints()
  const rssBefore = process.resourceUsage().maxRSS
  const startedMs = performance.now()
  let [given, slowestMs] = [0, 0]
  const property = fc.property(target.inputs, (each) => {
    for (const input of each) {
      const beganMs = performance.now()
      const outcome = target.read(input)
      slowestMs = Math.max(slowestMs, performance.now() - beganMs)
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
      given++
    }
    if (slowestMs > HANG_MS) throw new Error(`one of them took ${Math.round(slowestMs)} ms`)
    if (fingerprints() !== before) throw new Error('a prototype was changed')
  })
  fc.assert(property, { numRuns: Math.ceil(inputs / 20), seed, endOnFailure: true })
  return {
    inputs: given,
    elapsedMs: performance.now() - startedMs,
    slowestMs,
    risenMib: (process.resourceUsage().maxRSS - rssBefore) / 1024,
    outcomes,
  }
}

/** What all objects have in common. */
function fingerprints(): string {
  return SHARED.map((each) => Reflect.ownKeys(each).length).join()
}
