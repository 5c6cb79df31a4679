import type { LockHints } from '../../core/lock-ports.js'
import { type RedisConnection, whenReady } from './connection.js'

const RENEW = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0`
const RELEASE = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`

/** `LockHints` in Redis: one `SET NX PX`, and scripts that touch only what is still the caller's own. */
export class RedisLockHints implements LockHints {
  readonly #connection: RedisConnection
  readonly #prefix: string

  /** @param connection the store's, which closes it. */
  constructor(connection: RedisConnection, namespace: string) {
    this.#connection = connection
    this.#prefix = `${namespace}:lock:`
  }

  async take(name: string, holder: string, ttlMs: number): Promise<boolean> {
    await whenReady(this.#connection)
    return (await this.#connection.call('set', this.#prefix + name, holder, 'PX', ttlMs, 'NX')) !== null
  }

  async renew(name: string, holder: string, ttlMs: number): Promise<boolean> {
    await whenReady(this.#connection)
    return Number(await this.#connection.call('eval', RENEW, 1, this.#prefix + name, holder, ttlMs)) === 1
  }

  async release(name: string, holder: string): Promise<void> {
    await whenReady(this.#connection)
    await this.#connection.call('eval', RELEASE, 1, this.#prefix + name, holder)
  }
}
