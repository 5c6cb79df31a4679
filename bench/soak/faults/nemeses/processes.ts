import { setTimeout as sleep } from 'node:timers/promises'
import type { RedisPairServers } from '../cache-servers.js'
import type { Nemesis } from '../nemesis.js'
import type { Stage } from '../stage.js'

const CLOCK_SHIFT_MS = 60_000

/** What happens to the processes that read, write and relay. */
export const processNemeses: readonly Nemesis[] = [
  {
    name: 'failpoint-kill',
    does: 'a process dies between COMMIT and fence',
    lane: 'processes',
    strike: (stage) => stage.pick(stage.actors).dieAtNextFence(3_000),
  },
  {
    name: 'kill-9',
    does: 'SIGKILL to a process, whatever it is doing',
    lane: 'processes',
    strike: (stage) => stage.pick(stage.actors).killAndReplace(),
  },
  {
    name: 'relay-killed',
    does: 'SIGKILL to a process that relays',
    lane: 'processes',
    async strike(stage) {
      if (stage.relays.length > 0) await stage.pick(stage.relays).killAndReplace()
    },
  },
  {
    name: 'stopped',
    does: 'SIGSTOP to a process for 1 to 8 s: longer than its leases, and now and then than fences are remembered',
    lane: 'processes',
    strike: (stage) => stop(stage, stage.actors, 1_000, 8_000),
  },
  {
    name: 'relay-stopped',
    does: 'SIGSTOP to a process that relays, for 1 to 4 s; its session at the database stays open',
    lane: 'processes',
    async strike(stage) {
      if (stage.relays.length > 0) await stop(stage, stage.relays, 1_000, 4_000)
    },
  },
  {
    name: 'clock-jump',
    does: 'the clock of a process jumps by a minute, forth or back',
    lane: 'processes',
    async strike(stage) {
      await stage.pick(stage.actors).ask('shiftClock', stage.between(-CLOCK_SHIFT_MS, CLOCK_SHIFT_MS))
      await sleep(500)
    },
  },
  {
    name: 'ten-fold',
    does: 'ten times the usual reads and writes for 4 s',
    lane: 'processes',
    async strike(stage) {
      await stage.pace(10)
      await sleep(4_000)
      await stage.pace(1)
    },
  },
  {
    name: 'ten-fold-without-cache',
    does: 'ten times the usual, and Redis is killed in the middle of it: 3 s without, then an empty one, all at ten times the usual',
    lane: 'servers',
    where: 'pair',
    isAlone: true,
    async strike(stage) {
      await stage.pace(10)
      try {
        await sleep(1_500)
        await (stage.cache as RedisPairServers).replaceEmpty(3_000)
        await sleep(2_000)
      } finally {
        await stage.pace(1)
      }
    },
  },
]

async function stop(stage: Stage, actors: Stage['actors'], leastMs: number, mostMs: number): Promise<void> {
  const actor = stage.pick(actors)
  actor.signal('SIGSTOP')
  await sleep(stage.between(leastMs, mostMs))
  actor.signal('SIGCONT')
}
