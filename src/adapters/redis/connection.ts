import { CacheUnavailableError, ConfigError } from '../../core/errors.js'

/**
 * What Corral asks of the client it is given: ioredis `Redis` or `Cluster`, or anything shaped like them.
 *
 * The client itself is never used for commands and never closed. Corral opens connections of its own from it,
 * because its rules differ from an application's: no offline queue, no resending, nothing that can run late.
 */
export interface RedisClient {
  readonly isCluster: boolean
  readonly status: string
  readonly options: { readonly keyPrefix?: string | undefined; readonly db?: number | undefined }
  duplicate(...overrides: never[]): unknown
}

/** The slice of a socket that is used here. */
interface Socket {
  listeners(event: 'error'): unknown[]
  on(event: 'error', listener: () => void): unknown
}

/** The slice of an ioredis connection the adapters use. */
export interface RedisConnection {
  readonly isCluster: boolean
  readonly status: string
  /** Cluster only: for each slot its nodes, primary first. */
  readonly slots?: readonly (readonly string[] | undefined)[]
  /** One server only: the socket it has now. */
  readonly stream?: Socket | null
  connect(): Promise<unknown>
  disconnect(): void
  on(event: string, listener: (...values: never[]) => void): unknown
  once(event: string, listener: (...values: never[]) => void): unknown
  off(event: string, listener: (...values: never[]) => void): unknown
  defineCommand(name: string, definition: { numberOfKeys: number; lua: string }): void
  time(): Promise<readonly string[]>
  del(key: string): Promise<number>
  getBuffer(key: string): Promise<Buffer | null>
  mgetBuffer(keys: readonly string[]): Promise<(Buffer | null)[]>
  pipeline(commands: readonly (readonly string[])[]): {
    exec(): Promise<readonly [Error | null, unknown][] | null>
  }
  /** In lower case: under any other name ioredis 5.8 and older do not know which values are keys, and leave the prefix out. */
  call(command: Lowercase<string>, ...values: (string | Uint8Array | number)[]): Promise<unknown>
}

/** Longest time a connection is waited for that owes an answer. Longer than Redis ever blocks in good health. */
const SILENCE_MS = 5_000
const LONGEST_RETRY_MS = 250
/** A connection that is given up is destroyed when it has not closed by itself after this long. */
const DISCONNECT_MS = 100

/**
 * Settings of every cache connection:
 * - no offline queue and no resending: a command either runs now or not at all. A fill or a fence that ran minutes
 *   later, after a reconnect, would act on a world that has moved on;
 * - no retries per request: the caller has a deadline and the database to fall back on;
 * - reconnecting never gives up, nor does asking sentinels, and is never slower than four times a second: what a try costs a server that is back is
 *   little, and until then all reads are the database's;
 * - sentinels are asked for the primary: what a replica shows is older than what was acknowledged;
 * - a connection that owes an answer for 5 s is replaced: a half-open one reports no error, and TCP itself notices after
 *   a quarter of an hour.
 */
const SETTINGS = {
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  enableAutoPipelining: false,
  // Name and version of the client, told by commands that a user with few rights may not send.
  disableClientInfo: true,
  socketTimeout: SILENCE_MS,
  disconnectTimeout: DISCONNECT_MS,
  retryStrategy,
  sentinelRetryStrategy: retryStrategy,
  role: 'master',
  reconnectOnError: null,
} as const

function retryStrategy(attempt: number): number {
  return Math.min(50 * attempt, LONGEST_RETRY_MS)
}

/**
 * Settings of a connection that leaves a server which has become a replica. Such a server keeps its connections, while its name leads to another one
 * already: whoever stayed would never again have a fence arrive. Where the name still leads to the replica, it is left four times a second.
 */
export function leavingReplica(): Record<string, unknown> {
  let hasLeft = false
  return {
    reconnectOnError(error: Error): boolean {
      const isOfReplica = /\bREADONLY\b/.test(error.message)
      hasLeft ||= isOfReplica
      return isOfReplica
    },
    retryStrategy(attempt: number): number {
      const delayMs = hasLeft ? LONGEST_RETRY_MS : retryStrategy(attempt)
      hasLeft = false
      return delayMs
    },
  }
}

/** Opens a connection like `client`, with the settings above. Errors are left to the commands that meet them. */
export function openConnection(
  client: RedisClient,
  name: string,
  extra: Record<string, unknown> = {},
): RedisConnection {
  const settings = { ...SETTINGS, connectionName: name, lazyConnect: true, ...extra }
  const duplicate = client.duplicate as (...overrides: unknown[]) => RedisConnection
  const connection = client.isCluster
    ? duplicate.call(client, [], {
        enableOfflineQueue: false,
        enableAutoPipelining: false,
        lazyConnect: true,
        scaleReads: 'master',
        clusterRetryStrategy: SETTINGS.retryStrategy,
        // What a slot on its way keeps from being done is so for as long as that takes, and who asked has a deadline.
        retryDelayOnTryAgain: 0,
        // A cluster takes from here what it is not told otherwise, or told is empty: `keyPrefix`.
        redisOptions: { ...SETTINGS, connectionName: name, ...extra },
        ...extra,
      })
    : duplicate.call(client, settings)
  // Without a listener ioredis prints every reconnect attempt; what matters reaches the event sink as failed commands.
  connection.on('error', (error: Error & { readonly lastNodeError?: Error | null }) => {
    troubles.set(connection, withoutCommand(error.lastNodeError ?? error))
    // It listens for one error of a socket only. TLS may tell of two, and nobody's ends the process.
    if (!connection.stream?.listeners('error').includes(ignore)) connection.stream?.on('error', ignore)
  })
  if (client.isCluster) connection.on('node error', (error: Error) => troubles.set(connection, withoutCommand(error)))
  connection.on('ready', () => troubles.delete(connection))
  connection.connect().catch(() => {})
  return connection
}

/** Why a connection could not be made, in the words of the server or the system: the last there were since it was ready. */
const troubles = new WeakMap<RedisConnection, Error>()

/**
 * ioredis hangs the command on what Redis answered it, and Redis may quote its arguments: of AUTH that is the password. The word
 * that begins an answer of Redis becomes the code, as those of the system have one.
 */
function withoutCommand(error: Error): Error {
  if (!('command' in error)) return error
  const message = error.message.replace(/, with args beginning with.*/s, '')
  const [code] = /^[A-Z]+(?= )/.exec(message) ?? []
  return Object.assign(new Error(message), { name: error.name, code })
}

function unreached(connection: RedisConnection, otherwise: string): CacheUnavailableError {
  return new CacheUnavailableError('connect', troubles.get(connection) ?? otherwise)
}

function ignore(): void {}

/** Refuses what is not a usable client, and a key prefix that would move an entry and its guard to one common slot. */
export function assertRedisClient(client: RedisClient): void {
  if (typeof client !== 'object' || client === null || typeof client.duplicate !== 'function') {
    throw new ConfigError('redis', 'an ioredis `Redis` or `Cluster` instance', client)
  }
  if (client.options?.keyPrefix?.includes('{')) {
    throw new ConfigError('redis.options.keyPrefix', 'a prefix without `{`', client.options.keyPrefix)
  }
}

/** One wait for each connection, shared by all calls: many may come in the moments a connection takes. */
const waits = new WeakMap<RedisConnection, Promise<void>>()

/**
 * `whenReady` for callers that can ask the database instead: a lost connection is not waited for. The first connection is: otherwise a process
 * that starts would begin with a load for each of its reads.
 */
export function whenConnected(connection: RedisConnection): Promise<void> {
  const isLost = connection.status === 'reconnecting' || connection.status === 'close'
  return isLost ? Promise.reject(unreached(connection, 'the connection was lost')) : whenReady(connection)
}

/** Resolves once the connection can take commands; rejects when it will not do so by itself. The caller bounds the wait. */
export function whenReady(connection: RedisConnection): Promise<void> {
  if (connection.status === 'ready') return Promise.resolve()
  if (connection.status === 'end') return Promise.reject(unreached(connection, 'the connection is closed'))
  const current = waits.get(connection)
  if (current) return current
  const wait = new Promise<void>((resolve, reject) => {
    const settle = (act: () => void) => () => {
      waits.delete(connection)
      connection.off('ready', onReady)
      connection.off('end', onEnd)
      connection.off('close', onEnd)
      act()
    }
    const onReady = settle(resolve)
    const onEnd = settle(() => reject(unreached(connection, 'the connection was lost')))
    connection.on('ready', onReady)
    connection.on('end', onEnd)
    connection.on('close', onEnd)
  })
  waits.set(connection, wait)
  return wait
}
