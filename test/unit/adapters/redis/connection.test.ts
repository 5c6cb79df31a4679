import { EventEmitter } from 'node:events'
import { describe, expect, it } from 'vitest'
import { type RedisConnection, whenConnected, whenReady } from '../../../../src/adapters/redis/connection.js'
import { settle } from '../../../support/manual-clock.js'

function connection(status: string): RedisConnection & EventEmitter {
  return Object.assign(new EventEmitter(), { status }) as unknown as RedisConnection & EventEmitter
}

async function stateOf(wait: Promise<void>): Promise<string> {
  let state = 'waiting'
  wait.then(
    () => {
      state = 'ready'
    },
    (error) => {
      state = error.code
    },
  )
  await settle()
  return state
}

describe('a connection', () => {
  it.each(['close', 'reconnecting'])(
    'that is lost (%s) is waited for only by who has nobody else to ask',
    async (status) => {
      const lost = connection(status)
      expect(await stateOf(whenConnected(lost))).toBe('CACHE_UNAVAILABLE')
      const fence = whenReady(lost)
      expect(await stateOf(fence)).toBe('waiting')
      lost.emit('ready')
      expect(await stateOf(fence)).toBe('ready')
    },
  )

  it.each(['wait', 'connecting', 'connect'])('that is being made (%s) is waited for by everybody', async (status) => {
    const young = connection(status)
    const waits = [whenConnected(young), whenReady(young)]
    expect(await Promise.all(waits.map(stateOf))).toEqual(['waiting', 'waiting'])
    young.emit('ready')
    expect(await Promise.all(waits.map(stateOf))).toEqual(['ready', 'ready'])
  })

  it('that was ended is waited for by nobody', async () => {
    for (const wait of [whenConnected, whenReady]) {
      expect(await stateOf(wait(connection('end')))).toBe('CACHE_UNAVAILABLE')
    }
  })
})
