import { setTimeout as sleep } from 'node:timers/promises'
import type { Direction, TcpProxy } from '../../../../test/support/tcp-proxy.js'
import type { Nemesis } from '../nemesis.js'
import type { Stage } from '../stage.js'

const DIRECTIONS: readonly (Direction | 'both')[] = ['up', 'down', 'both']
/** In the name of every connection that listens to the bus. */
const SUBSCRIBER = ':subscribe'

/** Black holes: bytes vanish, sockets stay open, and nobody is told. */
export const networkNemeses: readonly Nemesis[] = [
  {
    name: 'redis-black-hole',
    does: 'one or two processes and Redis no longer hear each other, in one direction or both, for 0.5 to 4 s',
    lane: 'servers',
    where: 'pair',
    strike: (stage) => blackHole(stage, redisWays(stage)),
  },
  {
    name: 'bus-black-hole',
    does: 'the same of the connection that listens to the bus alone: reads and fences go on',
    lane: 'servers',
    where: 'pair',
    strike: (stage) => blackHole(stage, redisWays(stage), SUBSCRIBER),
  },
  {
    name: 'redis-latency',
    does: 'a process reaches Redis 20 to 120 ms later, each packet by another delay',
    lane: 'servers',
    where: 'pair',
    async strike(stage) {
      const way = stage.pick(redisWays(stage))
      way.set({ latencyMs: 20, jitterMs: 100 })
      await sleep(stage.between(1_000, 4_000))
      way.heal()
    },
  },
  {
    name: 'redis-resets',
    does: 'connections to Redis are reset over and over for 2 s, some in the middle of an answer',
    lane: 'servers',
    where: 'pair',
    async strike(stage) {
      const ways = redisWays(stage)
      for (let times = 0; times < 8; times++) {
        const way = stage.pick(ways)
        if (stage.chance.number() < 0.5) way.reset()
        else way.set({ cutAfterBytes: Math.floor(stage.between(10, 5_000)) })
        await sleep(250)
        way.heal()
      }
      for (const way of ways) way.reset()
    },
  },
  {
    name: 'postgres-black-hole',
    does: 'a process and Postgres no longer hear each other, in one direction or both, for 0.5 to 3 s',
    lane: 'servers',
    harmsDatabase: true,
    strike: (stage) =>
      blackHole(
        stage,
        [...stage.actors, ...stage.relays].map(({ postgresWay }) => postgresWay),
      ),
  },
]

function redisWays({ actors, relays }: Stage): TcpProxy[] {
  return [...actors, ...relays].flatMap(({ redisWay }) => redisWay ?? [])
}

async function blackHole(stage: Stage, ways: readonly TcpProxy[], only?: string): Promise<void> {
  const hit = new Set([stage.pick(ways), stage.pick(ways)])
  const blackHole = stage.pick(DIRECTIONS)
  for (const way of hit) way.set({ blackHole, blackHoleOnly: only })
  await sleep(stage.between(500, 4_000))
  for (const way of hit) {
    way.heal()
    // Of a stream with a hole in it TCP would deliver nothing more.
    way.reset()
  }
}
