import { setTimeout as sleep } from 'node:timers/promises'
import { machineMs } from '../../../../src/core/clock.js'
import type { RedisPairServers } from '../cache-servers.js'
import type { Nemesis } from '../nemesis.js'
import type { Stage } from '../stage.js'

/** The replica becomes the primary, without what it had not heard. */
export const promotionNemeses: readonly Nemesis[] = [
  {
    name: 'promotion',
    does: 'the replica hears nothing for 1 to 3 s and is promoted: fences that were acknowledged are lost',
    lane: 'servers',
    where: 'pair',
    isAlone: true,
    strike: (stage) => failOver(stage, 'promotion', 0),
  },
  {
    name: 'split-brain',
    does: 'the same, and half of the processes go on with the old primary for 2 to 4 s',
    lane: 'servers',
    where: 'pair',
    isAlone: true,
    strike: (stage) => failOver(stage, 'split-brain', stage.between(2_000, 4_000)),
  },
]

async function failOver(stage: Stage, what: string, splitMs: number): Promise<void> {
  const cache = stage.cache as RedisPairServers
  cache.link.set({ blackHole: 'both' })
  await sleep(stage.between(1_000, 3_000))
  const window = { what, startedMs: machineMs(), healedMs: Number.POSITIVE_INFINITY }
  stage.windows.push(window)
  await cache.promote()
  const everybody = [...stage.relays, ...stage.actors]
  const isolated = splitMs > 0 ? stage.actors.filter((_, at) => at % 2 === 1) : []
  lead(
    everybody.filter((actor) => !isolated.includes(actor)),
    cache.primary.port,
  )
  await sleep(splitMs)
  lead(isolated, cache.primary.port)
  window.healedMs = machineMs()
  await cache.reunite()
}

function lead(actors: readonly Stage['actors'][number][], port: number): void {
  for (const { redisWay } of actors) {
    redisWay?.pointAt({ port })
    redisWay?.reset()
  }
}
