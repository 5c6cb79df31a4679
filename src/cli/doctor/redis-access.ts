import { channelName } from '../../adapters/redis/channel-name.js'
import { openConnection, type RedisClient, type RedisConnection, whenReady } from '../../adapters/redis/connection.js'
import { cacheKey, epochKey, guardKey, keyPrefix } from '../../core/key.js'
import { reasonOf } from '../reason-of.js'
import { type Finding, finding } from './findings.js'
import { type Patient, within } from './patient.js'

const LOOK_MS = 20
const ATTEMPT_LIMIT_MS = 5_000

/** What the application's own user was refused: what was tried, and what Redis said. */
export interface Refused {
  readonly what: string
  readonly said: string
}

/** Writes what ends in a millisecond, to the keys that the scripts of the protocol write to, and with the commands that they use. */
const PROBE = `
redis.call('SET', KEYS[1], '', 'PX', 1)
redis.call('HSET', KEYS[2], 'l', '')
redis.call('HDEL', KEYS[2], 'le')
redis.call('PEXPIRE', KEYS[2], 1)
redis.call('HMGET', KEYS[2], 'l')
redis.call('TIME')
return {redis.call('GETRANGE', KEYS[1], 0, 1), redis.call('PTTL', KEYS[1]), redis.call('EXISTS', KEYS[1]), redis.call('DEL', KEYS[1])}
`

/** Does what Corral does, as the application's user: a list of rights would have to be right for every version and provider. */
export async function readAccess(own: RedisConnection, { inside, clock }: Patient): Promise<Refused[]> {
  const { namespace } = inside
  const key = cacheKey(keyPrefix(namespace, 'row', 'corral.doctor'), ['0'])
  const channel = channelName(namespace, inside.redis?.options ?? {})
  const refused: Refused[] = []
  const attempt = async (what: string, act: () => Promise<unknown>) => {
    try {
      await within(clock, act(), ATTEMPT_LIMIT_MS)
    } catch (error) {
      refused.push({ what, said: reasonOf(error) })
    }
  }
  await whenReady(own).catch(() => {})
  await attempt('read entries (GET)', () => own.call('get', key))
  await attempt('run scripts that write entries (EVAL)', () => own.call('eval', PROBE, 2, key, guardKey(key)))
  await attempt('read the epoch', () => own.call('get', epochKey(namespace)))
  if (!own.isCluster) {
    const listening = openConnection(inside.redis as RedisClient, `corral:${namespace}:doctor`, { keyPrefix: '' })
    await attempt('subscribe to the channel (SUBSCRIBE)', async () => {
      await whenReady(listening)
      await listening.call('subscribe', channel)
    })
    listening.disconnect()
  }
  await attempt('hear what it says itself (PUBLISH)', async () => {
    const untilMs = clock.monotonicMs() + 2 * inside.settings.bus.heartbeatMs
    while (!inside.assembly.table.isLive(clock.monotonicMs())) {
      if (clock.monotonicMs() > untilMs) throw new Error('its own heartbeats do not come back')
      await clock.sleep(LOOK_MS)
    }
  })
  return refused
}

export function checkAccess(refused: readonly Refused[]): Finding[] {
  return refused.map(({ what, said }) => {
    if (/\bOOM\b/.test(said)) {
      const fix = 'redis-cli -h … config set maxmemory-policy allkeys-lfu, or more maxmemory'
      return finding('redis.full', what, said, fix)
    }
    const fix = /NOPERM|permission|heartbeats/i.test(said)
      ? 'npx corral acl   (prints the rights that it needs)'
      : 'mend what Redis says, then run corral doctor again'
    return finding('redis.refused', what, said, fix)
  })
}
