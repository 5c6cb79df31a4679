import type { ServerCounts } from './counts.js'
import type { Prometheus } from './prometheus.js'

/** How far a metric may be from what a server has counted. */
const TOLERANCE = 0.01

/** What Prometheus says of what the servers have counted themselves. */
const METRIC_FOR: Readonly<Record<keyof ServerCounts, string>> = {
  loads: 'sum(cache_load_duration_count)',
  writes: 'sum(cache_operation_duration_count{cache_operation=~"update|mutate"})',
  stored: 'sum(cache_fill_duration_count{cache_fill_outcome="filled"})',
}

const SAID_BY: Readonly<Record<keyof ServerCounts, string>> = {
  loads: 'SELECTs at Postgres',
  writes: 'UPDATEs at Postgres',
  stored: 'entries stored in Redis',
}

/** Prints the figures of both sides. Returns those that are further apart than they may be. */
export async function disagreements(prometheus: Prometheus, counts: ServerCounts): Promise<string[]> {
  const wrong: string[] = []
  for (const [what, expression] of Object.entries(METRIC_FOR) as [keyof ServerCounts, string][]) {
    const [sample] = await prometheus.query(expression)
    const [counted, measured] = [counts[what], sample?.value ?? Number.NaN]
    const apart = Math.abs(measured - counted) / counted
    const line = `${SAID_BY[what]}: ${counted}, ${expression}: ${measured}, ${(100 * apart).toFixed(2)} % apart`
    console.log(line)
    if (!(apart <= TOLERANCE)) wrong.push(line)
  }
  return wrong
}
