/**
 * Where the time of one UPDATE goes, one at a time, as the sockets of the writing process show it: the same updates as `write`, by the same contenders, in turns.
 *
 * Usage: node --import tsx bench/write-timeline.ts [rounds that count, default 5] [updates a round, default 400].
 */
import { Socket } from 'node:net'
import { DURABLE } from './harness/durable.js'
import { inPlace } from './harness/place.js'
import { quantile } from './harness/summary.js'
import { contenders, KEYS, LEAST } from './scenarios/write-contenders.js'

const [rounds = '5', updates = '400'] = process.argv.slice(2)
/** Rounds for the compiler, and updates of each round after which nothing is left of the contender before. */
const WARM_ROUNDS = 3
const WARM_UPDATES = 300
const NAMES = ['kysely', LEAST, 'corral']
const STEPS = ['to the statement', 'Postgres', 'to the script', 'Redis', 'to the caller', 'in all'] as const

type Step = (typeof STEPS)[number]

/** What went over a socket of this process: when, and to or from which port. */
interface Passed {
  readonly atMs: number
  readonly way: 'sent' | 'received'
  readonly port: number | undefined
}

let passed: Passed[] = []
watchSockets()

await inPlace({ rows: KEYS, settings: DURABLE }, async (place) => {
  const [database, cache] = [place.postgresUrl, place.redisUrl].map((url) => Number(new URL(url).port))
  const opened = await Promise.all(
    NAMES.map(async (name) => [name, await (contenders[name] as (typeof contenders)[string])(place)] as const),
  )
  const found = new Map(NAMES.map((name) => [name, new Map<Step, number[]>(STEPS.map((step) => [step, []]))]))
  for (let round = 0; round < WARM_ROUNDS + Number(rounds); round++) {
    for (const [name, { workloads }] of opened) {
      const write = workloads['one at a time'] as (times: number) => Promise<void>
      await write(WARM_UPDATES)
      for (let update = 0; update < Number(updates); update++) {
        passed = []
        const startedMs = performance.now()
        await write(1)
        const steps = stepsOf(startedMs, performance.now(), database as number, cache as number)
        if (round < WARM_ROUNDS) continue
        for (const [step, ms] of steps) found.get(name)?.get(step)?.push(ms)
      }
    }
  }
  console.log(['us, medians'.padEnd(20), ...STEPS.map((step) => step.padStart(17))].join(''))
  for (const [name, { close }] of opened) {
    const medians = STEPS.map((step) => {
      const all = found.get(name)?.get(step) ?? []
      return (all.length > 0 ? (quantile(all, 0.5) * 1_000).toFixed(0) : '-').padStart(17)
    })
    console.log([name.padEnd(20), ...medians].join(''))
    await close()
  }
})

function watchSockets(): void {
  const { write, push } = Socket.prototype
  Socket.prototype.write = function (this: Socket, ...values: unknown[]) {
    passed.push({ atMs: performance.now(), way: 'sent', port: this.remotePort })
    return Reflect.apply(write, this, values)
  } as typeof write
  Socket.prototype.push = function (this: Socket, ...values: unknown[]) {
    passed.push({ atMs: performance.now(), way: 'received', port: this.remotePort })
    return Reflect.apply(push, this, values)
  } as typeof push
}

/** Messages of the write before may come and go meanwhile: the cache is asked after the database has answered. */
function stepsOf(startedMs: number, endedMs: number, database: number, cache: number): [Step, number][] {
  const first = (way: Passed['way'], port: number, sinceMs: number) =>
    passed.find((each) => each.way === way && each.port === port && each.atMs >= sinceMs)?.atMs
  const statementMs = first('sent', database, startedMs) ?? Number.NaN
  const rowMs = first('received', database, statementMs) ?? Number.NaN
  const scriptMs = first('sent', cache, rowMs)
  const replyMs = scriptMs === undefined ? undefined : first('received', cache, scriptMs)
  const ofCache: [Step, number][] =
    scriptMs === undefined || replyMs === undefined
      ? []
      : [
          ['to the script', scriptMs - rowMs],
          ['Redis', replyMs - scriptMs],
        ]
  return [
    ['to the statement', statementMs - startedMs],
    ['Postgres', rowMs - statementMs],
    ...ofCache,
    ['to the caller', endedMs - (replyMs ?? rowMs)],
    ['in all', endedMs - startedMs],
  ]
}
