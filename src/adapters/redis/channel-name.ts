/** Of the ioredis client, as far as they are part of the name. */
interface Place {
  readonly keyPrefix?: string | undefined
  readonly db?: number | undefined
}

/**
 * The channel on which the processes of a namespace hear each other: `shop:bus`. Pub/sub goes through all numbered databases of a server, but what lies in
 * two of them are two caches: all but the first have a channel of their own, `shop:bus:1`.
 */
export function channelName(namespace: string, { keyPrefix = '', db = 0 }: Place): string {
  return `${keyPrefix}${namespace}:bus${db === 0 ? '' : `:${db}`}`
}
