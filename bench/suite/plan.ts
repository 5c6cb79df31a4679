/** How long a scenario takes with everything in it: on two cores that have nothing else to do, in seconds. */
export interface Duration {
  /** With the least effort. */
  readonly least: number
  readonly full: number
}

/** From runs of each; what is not listed is taken for `OTHERS`. They share out the time of a run and need not be exact: see `effortFor`. */
const DURATIONS: Readonly<Record<string, Duration>> = {
  l1: { least: 120, full: 230 },
  l2: { least: 85, full: 170 },
  many: { least: 55, full: 105 },
  memory: { least: 50, full: 120 },
  stampede: { least: 55, full: 65 },
  'fleet-stampede': { least: 260, full: 290 },
  expiry: { least: 245, full: 445 },
  'bulk-expiry': { least: 65, full: 145 },
  'stale-set': { least: 85, full: 240 },
  celebrity: { least: 115, full: 240 },
  outage: { least: 150, full: 430 },
  scale: { least: 330, full: 620 },
  'load-10x': { least: 165, full: 295 },
  'hit-ratio': { least: 190, full: 330 },
  propagation: { least: 85, full: 130 },
  write: { least: 170, full: 350 },
  'write-cost': { least: 70, full: 260 },
  layout: { least: 12, full: 30 },
  telemetry: { least: 25, full: 55 },
  incidents: { least: 50, full: 140 },
}
const OTHERS: Duration = { least: 30, full: 120 }

export function durationOf(scenario: string): Duration {
  return DURATIONS[scenario] ?? OTHERS
}

/** The effort with which all of `scenarios` fit into `leftSeconds`, above 0 up to 1. Asked anew before each: what one has taken too long the others make up for. */
export function effortFor(scenarios: readonly string[], leftSeconds: number): number {
  const all = scenarios.map(durationOf)
  const least = all.reduce((sum, duration) => sum + duration.least, 0)
  const span = all.reduce((sum, duration) => sum + duration.full - duration.least, 0)
  return Math.min(1, Math.max(0.01, (leftSeconds - least) / span))
}

/** How long a scenario may take before it counts as stuck: a busy machine is several times slower. */
export function limitSeconds(scenario: string): number {
  return 180 + 4 * durationOf(scenario).full
}

/**
 * `90s`, `25m`, `1h` in seconds.
 *
 * @throws RangeError for anything else.
 */
export function parseBudget(text: string): number {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)(s|m|h)$/.exec(text) ?? []
  const seconds = Number(amount) * { s: 1, m: 60, h: 3_600 }[unit as 's' | 'm' | 'h']
  if (seconds > 0) return seconds
  throw new RangeError(`--budget: expected a time such as 90s, 25m or 1h, found ${JSON.stringify(text)}`)
}
