import type { RedisClient } from '../../adapters/redis/connection.js'

/** Where a server listens. */
export interface Place {
  readonly host: string
  readonly port: number
}

export function addressOf({ host, port }: Place): string {
  return `${host}:${port}`
}

type NatMap = Readonly<Record<string, Place>> | ((address: string) => Place | null | undefined)

/** Where the application's client goes for a server that others call so: `natMap` may lead it elsewhere. */
export function placeOf(address: string, client: RedisClient): Place {
  const { natMap } = client.options as { readonly natMap?: NatMap | null }
  const mapped = typeof natMap === 'function' ? natMap(address) : natMap?.[address]
  if (mapped) return { host: mapped.host, port: mapped.port }
  const at = address.lastIndexOf(':')
  return { host: address.slice(0, at), port: Number(address.slice(at + 1)) }
}
