/** Of the ioredis client, as far as they are part of the name. */
interface Place {
  readonly keyPrefix?: string | undefined
  readonly db?: number | undefined
}

/**
 * The channel on which the processes of a namespace hear each other: `shop:bus`. Pub/sub ignores numbered databases, but each of them is a cache of
 * its own. So every database but 0 has a channel of its own: `shop:bus:1`.
 */
export function channelName(namespace: string, { keyPrefix = '', db = 0 }: Place): string {
  return `${keyPrefix}${namespace}:bus${db === 0 ? '' : `:${db}`}`
}
