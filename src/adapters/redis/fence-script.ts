import { createHash } from 'node:crypto'
import type { RedisConnection } from './connection.js'
import { FENCE } from './scripts.js'

const SHA = createHash('sha1').update(FENCE).digest('hex')

/**
 * The script of fences, sent as EVAL the first time on a connection and as EVALSHA from then on. ioredis does the same for the other
 * scripts; of this one has to be known when it was sent again, because a server that was told to forget its scripts carries it out
 * only then, after what was sent behind it.
 */
export class FenceScript {
  readonly #connection: RedisConnection
  /** The sockets whose server has been sent the script. */
  readonly #told = new WeakSet<object>()
  #resends = 0

  constructor(connection: RedisConnection) {
    this.#connection = connection
  }

  /** How often a script had to be sent again. */
  get resends(): number {
    return this.#resends
  }

  async run(keys: readonly string[], values: readonly (string | number | Uint8Array)[]): Promise<string> {
    const { stream } = this.#connection
    const call = (command: 'eval' | 'evalsha') =>
      this.#connection.call(command, command === 'eval' ? FENCE : SHA, keys.length, ...keys, ...values)
    // A cluster has a socket for each node, and each is asked whether it knows the script.
    const isNew = stream != null && !this.#told.has(stream)
    if (isNew) this.#told.add(stream)
    try {
      return (await call(isNew ? 'eval' : 'evalsha')) as string
    } catch (error) {
      if (!String((error as Error).message).includes('NOSCRIPT')) throw error
      this.#resends++
      return (await call('eval')) as string
    }
  }
}
