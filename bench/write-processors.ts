/**
 * What stamp, outbox and slot cost whoever writes, in processor time of client, cache and database together: the same updates as `write-cost`, in
 * short turns, each held against the turn without triggers beside it. Where processors are the limit this is what throughput follows, and
 * what else the machine does has less of a say in it than in a clock on the wall.
 *
 * Usage: node --import tsx bench/write-processors.ts [turns, default 14] [milliseconds a turn, default 500]. Linux only.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { openPlace } from './harness/place.js'
import { quantile } from './harness/summary.js'
import { makeTables, WITH_SLOT } from './scenarios/write-cost.js'
import { contenders, ROWS, TABLES, WORKLOADS } from './scenarios/write-cost-contenders.js'

const [turns = '14', turnMs = '500'] = process.argv.slice(2)
/** Of the kernel's clock ticks, in which /proc tells processor time. */
const MS_PER_TICK = 10

const place = await openPlace({ rows: ROWS, settings: WITH_SLOT })
await makeTables(place)
const opened = await Promise.all(
  TABLES.map(async (table) => [table, await (contenders[table] as (typeof contenders)[string])(place)] as const),
)
/** Microseconds of each turn. */
const found = new Map<string, number[]>()
for (let turn = 0; turn <= Number(turns); turn++) {
  for (const workload of WORKLOADS) {
    for (let at = 0; at < opened.length; at++) {
      const [table, { workloads }] = opened[(at + turn) % opened.length] as (typeof opened)[number]
      const [startedMs, before] = [performance.now(), processorMs()]
      let updates = 0
      for (
        const some = workload.includes('at once') ? 160 : 20;
        performance.now() - startedMs < Number(turnMs);
        updates += some
      ) {
        await workloads[workload]?.(some)
      }
      // The first turn is for the compiler.
      const key = `${workload}/${table}`
      if (turn > 0) found.set(key, [...(found.get(key) ?? []), ((processorMs() - before) / updates) * 1_000])
    }
  }
}
for (const workload of WORKLOADS) {
  const without = found.get(`${workload}/${TABLES[0]}`) ?? []
  for (const table of TABLES) {
    const own = found.get(`${workload}/${table}`) ?? []
    const shares = own.map((each, turn) => (without[turn] as number) / each)
    const [us, share] = [quantile(own, 0.5).toFixed(0).padStart(6), quantile(shares, 0.5).toFixed(2)]
    console.log(`${workload.padEnd(18)} ${table.padEnd(8)} ${us} us  ${share}`)
  }
}
for (const [, { close }] of opened) await close()
await place.close()

/** Of this process and of all that descend from it, the servers among them. */
function processorMs(): number {
  const all = new Map(readdirSync('/proc').flatMap((pid) => (/^\d+$/.test(pid) ? [[pid, ticksOf(pid)] as const] : [])))
  const isOurs = (pid: string): boolean => {
    for (let of = all.get(pid)?.parent; of !== undefined; of = all.get(of)?.parent) {
      if (of === String(process.pid)) return true
    }
    return false
  }
  const { user, system } = process.cpuUsage()
  const ticks = [...all].filter(([pid]) => isOurs(pid)).reduce((sum, [, process]) => sum + process.ticks, 0)
  return ticks * MS_PER_TICK + (user + system) / 1_000
}

/** Its own, and those of its children that have ended. One that is gone has none. */
function ticksOf(pid: string): { readonly parent: string | undefined; readonly ticks: number } {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
    return { parent: fields[1], ticks: [11, 12, 13, 14].reduce((sum, at) => sum + Number(fields[at]), 0) }
  } catch {
    return { parent: undefined, ticks: 0 }
  }
}
