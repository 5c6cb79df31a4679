/**
 * Scenarios that others call by name: their reports always have a result called `corral`. The rest of the list answers questions of its own,
 * such as how an entry should lie in Redis, and names what it compares.
 */
export const PROMISED = [
  'l1',
  'l2',
  'many',
  'stampede',
  'fleet-stampede',
  'expiry',
  'stale-set',
  'propagation',
  'outage',
  'memory',
  'write',
  'hit-ratio',
  'scale',
  'load-10x',
] as const

/** Names that a scenario's report must have results of. */
export function expectedOf(scenario: string): string[] {
  return (PROMISED as readonly string[]).includes(scenario) ? ['corral'] : []
}
