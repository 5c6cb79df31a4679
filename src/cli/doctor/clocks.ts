import { sql } from 'kysely'
import { type Diagnosis, type Finding, finding } from './findings.js'
import { type Patient, within } from './patient.js'
import type { NodeFacts } from './redis-nodes.js'

/** One clock, compared with this host's. */
export interface Skew {
  readonly name: string
  readonly skewMs: number
  readonly errorMs: number
}

const NODES_MS = 1_000
const HOST_MS = 5_000

export async function examineClocks({ inside, clock }: Patient, nodes: readonly NodeFacts[]): Promise<Diagnosis> {
  const redis = nodes.flatMap(({ address, skewMs, skewErrorMs }) =>
    skewMs === undefined ? [] : [{ name: address, skewMs, errorMs: skewErrorMs }],
  )
  const sentMs = clock.monotonicMs()
  const sentWallMs = clock.wallMs()
  const { rows } = await within(
    clock,
    sql<{ ms: string }>`select (extract(epoch from clock_timestamp()) * 1000)::text as ms`.execute(
      inside.db.withoutPlugins(),
    ),
  )
  const errorMs = (clock.monotonicMs() - sentMs) / 2
  const postgres = { name: 'postgres', skewMs: Number(rows[0]?.ms) - (sentWallMs + errorMs), errorMs }
  return { findings: checkClocks(redis, postgres), unchecked: [] }
}

/** Only what is certain counts: the error of either side is taken off. */
export function checkClocks(redis: readonly Skew[], postgres: Skew): Finding[] {
  const findings: Finding[] = []
  const sorted = [...redis].sort((a, b) => a.skewMs - b.skewMs)
  const [first, last] = [sorted[0], sorted.at(-1)]
  const fix = 'run an NTP client (chrony) on each of these machines: chronyc tracking'
  if (first && last && last.skewMs - last.errorMs - (first.skewMs + first.errorMs) > NODES_MS) {
    const apart = Math.round(last.skewMs - first.skewMs)
    findings.push(finding('clock.redis-nodes', `${first.name} and ${last.name}`, `${apart} ms apart`, fix))
  }
  for (const { name, skewMs, errorMs } of [postgres, ...redis]) {
    if (Math.abs(skewMs) - errorMs <= HOST_MS) continue
    const side = skewMs > 0 ? 'behind' : 'ahead of'
    findings.push(
      finding('clock.host', 'the clock of this host', `${Math.round(Math.abs(skewMs))} ms ${side} ${name}`, fix),
    )
  }
  return findings
}
