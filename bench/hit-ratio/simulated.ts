import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { byProcesses, modelOutcomes } from './outcomes.js'

const FOLDER = fileURLToPath(new URL('../results/simulated/', import.meta.url))
const FILE = `${FOLDER}hit-ratios.json`

/** All that the simulator has to say about hit ratios. Seeded: the same scale gives the same figures. */
export interface Simulated {
  /** 1: a million requests for each strategy and kind of traffic. */
  readonly scale: number
  readonly models: ReturnType<typeof modelOutcomes>
  readonly fleets: ReturnType<typeof byProcesses>
}

export function simulateAll(scale: number): Simulated {
  return { scale, models: modelOutcomes(scale), fleets: byProcesses(scale) }
}

/** Keeps the figures for the report, which would else have to wait for them. */
export function saveSimulated(simulated: Simulated): void {
  mkdirSync(FOLDER, { recursive: true })
  writeFileSync(FILE, `${JSON.stringify(simulated, undefined, 1)}\n`)
}

/** What was saved; undefined when nothing was. */
export function savedSimulated(): Simulated | undefined {
  return existsSync(FILE) ? (JSON.parse(readFileSync(FILE, 'utf8')) as Simulated) : undefined
}
