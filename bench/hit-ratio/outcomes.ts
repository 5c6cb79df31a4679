import { MODELS, type ModelName, modelRequests } from './models.js'
import type { Outcome } from './outcome.js'
import type { Requests } from './requests.js'
import { type Fleet, simulate } from './simulate.js'
import { STRATEGIES } from './strategies.js'

export interface StrategyOutcome {
  readonly strategy: string
  readonly outcome: Outcome
}

export const FLEET: Fleet = { processes: 4, ttlMs: 20_000, loadMs: 50, busMs: 1, seed: 1 }

/** About five minutes of a busy shop, and more keys than L1 holds. */
const SIZE = { requests: 1_000_000, keys: 50_000, perSecond: 3_000, seed: 7 }

/** Every strategy on one stream. */
export function outcomesOf(requests: Requests, fleet: Fleet): StrategyOutcome[] {
  return Object.values(STRATEGIES).map((strategy) => ({
    strategy: strategy.name,
    outcome: simulate(requests, strategy, fleet),
  }))
}

/** @param scale 1: a million requests a model. */
export function modelOutcomes(scale: number): { readonly name: ModelName; readonly outcomes: StrategyOutcome[] }[] {
  const size = { ...SIZE, requests: SIZE.requests * scale }
  return MODELS.map((name) => ({ name, outcomes: outcomesOf(modelRequests(name, size), FLEET) }))
}

/** The same traffic over ever more processes. */
export function byProcesses(scale: number): { readonly processes: number; readonly outcomes: StrategyOutcome[] }[] {
  const requests = modelRequests('zipf 0.99', { ...SIZE, requests: SIZE.requests * scale })
  return [1, 2, 4, 8, 16].map((processes) => ({ processes, outcomes: outcomesOf(requests, { ...FLEET, processes }) }))
}
