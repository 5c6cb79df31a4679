import { Buffer } from 'node:buffer'
import type { CacheKey } from '../../../src/core/key.js'
import type { ScannableNode } from '../../../src/testing/stored-copies.js'
import type { RedisServer } from './server.js'

/** A server as the check of what is at rest wants to see it. */
export function scannable(server: RedisServer): ScannableNode {
  return {
    async scan(_cursor, _match, pattern) {
      const start = pattern.endsWith('*}') ? pattern.slice(0, -2) : pattern
      return ['0', server.keys.filter((key) => key.startsWith(start))]
    },
    async getBuffer(key) {
      const [bytes = null] = await server.run(key as CacheKey, (store) => store.read([key as CacheKey]))
      return bytes && Buffer.from(bytes)
    },
  }
}
