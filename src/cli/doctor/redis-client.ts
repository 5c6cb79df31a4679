import type { RedisClient } from '../../adapters/redis/connection.js'
import type { Settings } from '../../config.js'
import { type Finding, finding } from './findings.js'
import type { Place } from './redis-places.js'

/** What matters of the options of the application's ioredis client. */
export interface ClientFacts {
  readonly isCluster: boolean
  /** Where it was told to connect: hosts, without ports. Empty for a socket of this machine. */
  readonly hosts: readonly string[]
  readonly hasErrorListener: boolean
  readonly username: string
  readonly keyPrefix: string
  /** Number of the database. A cluster has one. */
  readonly db: number
  readonly commandTimeoutMs: number | undefined
  readonly asksForReplica: boolean
  /** Undefined: it connects without asking sentinels where to. */
  readonly sentinels: SentinelGroup | undefined
  readonly tls: 'none' | 'unverified' | 'verified'
}

/** Sentinels, and what they are asked about. */
export interface SentinelGroup {
  readonly name: string
  readonly places: readonly Place[]
  /** Options of a connection to one of them, but for where it is. */
  readonly connection: Readonly<Record<string, unknown>>
}

/** The options that ioredis keeps, as far as they are looked at here. */
interface ClientOptions {
  readonly host?: string
  readonly path?: string | null
  readonly username?: string | null
  readonly keyPrefix?: string
  readonly db?: number
  readonly commandTimeout?: number
  readonly role?: string
  readonly name?: string | null
  readonly sentinels?: readonly Partial<Place>[] | null
  readonly sentinelUsername?: string | null
  readonly sentinelPassword?: string | null
  readonly sentinelTLS?: object
  /** Without it ioredis connects to the servers that sentinels name without TLS, whatever `tls` says. */
  readonly enableTLSForSentinelMode?: boolean
  readonly tls?: { readonly rejectUnauthorized?: boolean }
  readonly redisOptions?: ClientOptions
}

export function clientFacts(client: RedisClient): ClientFacts {
  const options = client.options as ClientOptions
  // Of a cluster each node's connection has the options of `redisOptions`, and the prefix stands beside them.
  const own = client.isCluster ? (options.redisOptions ?? {}) : options
  const listeners = client as unknown as { listenerCount?(event: string): number }
  const { startupNodes = [] } = client as unknown as { startupNodes?: readonly unknown[] }
  const single = own.sentinels?.map(({ host = '' }) => host) ?? (own.path ? [] : [own.host ?? 'localhost'])
  return {
    isCluster: client.isCluster,
    hosts: client.isCluster ? startupNodes.map(hostOf) : single,
    hasErrorListener: (listeners.listenerCount?.('error') ?? 1) > 0,
    username: own.username ?? 'default',
    keyPrefix: options.keyPrefix ?? own.keyPrefix ?? '',
    db: client.isCluster ? 0 : (own.db ?? 0),
    commandTimeoutMs: own.commandTimeout,
    asksForReplica: own.role === 'slave',
    sentinels: groupOf(own),
    tls: tlsOf(own),
  }
}

function tlsOf({ tls, sentinels, enableTLSForSentinelMode }: ClientOptions): ClientFacts['tls'] {
  if (tls === undefined || (sentinels && !enableTLSForSentinelMode)) return 'none'
  return tls.rejectUnauthorized === false ? 'unverified' : 'verified'
}

/** A sentinel is another server, with another password, and knows no databases and no keys. */
const SENTINEL = { sentinels: null, name: null, path: null, db: 0, keyPrefix: '', enableReadyCheck: false }
const SENTINEL_PORT = 26_379

function groupOf({ sentinels, name, sentinelUsername, sentinelPassword, sentinelTLS }: ClientOptions) {
  if (!sentinels?.length || !name) return undefined
  const rights = { username: sentinelUsername ?? null, password: sentinelPassword ?? null, tls: sentinelTLS }
  return {
    name,
    places: sentinels.map(({ host = 'localhost', port = SENTINEL_PORT }) => ({ host, port })),
    connection: { ...SENTINEL, ...rights },
  }
}

export function checkClient(facts: ClientFacts, { cache }: Settings): Finding[] {
  const findings: Finding[] = []
  const subject = 'options of the ioredis client'
  if (!facts.hasErrorListener) {
    const fix = "redis.on('error', (error) => logger.warn(error.message))"
    findings.push(finding('client.no-error-listener', subject, 'no listener for `error`', fix))
  }
  if (facts.keyPrefix !== '') {
    findings.push(
      finding(
        'client.key-prefix',
        subject,
        `keyPrefix ${JSON.stringify(facts.keyPrefix)}`,
        'leave it out: `namespace` keeps services apart',
      ),
    )
  }
  if (facts.commandTimeoutMs !== undefined && facts.commandTimeoutMs < cache.giveUpMs) {
    const fix = `leave commandTimeout out, or give at least cache.giveUpMs (${cache.giveUpMs}); Corral has deadlines of its own`
    findings.push(finding('client.command-timeout', subject, `commandTimeout ${facts.commandTimeoutMs}`, fix))
  }
  if (facts.asksForReplica) {
    findings.push(finding('client.sentinel-replica', subject, "role 'slave'", "leave `role` out, or give 'master'"))
  }
  const remote = facts.hosts.filter((host) => !isThisMachine(host))
  if (facts.tls === 'none' && remote.length > 0) {
    findings.push(
      finding(
        'client.no-tls',
        subject,
        `no \`tls\`, to ${remote.join(', ')}`,
        'tls: {} in the options, with sentinels enableTLSForSentinelMode: true, too; and tls-port in redis.conf',
      ),
    )
  }
  if (facts.tls === 'unverified') {
    const fix = 'give the authority: tls: { ca }, and leave rejectUnauthorized out'
    findings.push(finding('client.tls-unverified', subject, 'tls.rejectUnauthorized is false', fix))
  }
  return findings
}

function hostOf(node: unknown): string {
  if (typeof node === 'number') return 'localhost'
  if (typeof node === 'object' && node !== null) return String((node as { host?: unknown }).host ?? 'localhost')
  return String(node)
    .replace(/^rediss?:\/\//, '')
    .replace(/:\d+$/, '')
}

function isThisMachine(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.')
}
